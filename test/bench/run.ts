/**
 * Measurements, as ratios against other programs on the same input in the same run:
 *
 *   npm run bench [WORD ...]
 *
 * runs the parts whose name contains one of the words, or all of them. Each part is a file here that exports `measure`.
 */
const PARTS = {
  start: () => import("./start.ts"),
  submit: () => import("./submit.ts"),
  cab: () => import("./cab.ts"),
  journal: () => import("./journal.ts"),
};

const words = process.argv.slice(2);
for (const [name, load] of Object.entries(PARTS)) {
  if (words.length > 0 && !words.some((word) => name.includes(word))) continue;
  const { measure } = await load();
  await measure((line) => process.stdout.write(`${line}\n`));
}
