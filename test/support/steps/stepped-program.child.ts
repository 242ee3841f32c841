/**
 * The program that the whole-program tests run, stop and kill: `main` with its steps counted and its clock moved. More
 * command lines, after `--then`, run in the same process one after the other; the last one's exit code is the process's,
 * and each one's, with what it prints, is on standard output.
 */

import { programStep } from "./program-step.ts";
import { stepPrinting, stepSockets } from "./stepped-sockets.ts";

const ahead = Number(process.env["TEST_AHEAD"] ?? "0");
if (ahead !== 0) {
  const now = Date.now;
  Date.now = () => now() + ahead;
}
if (programStep !== null) {
  stepSockets(programStep);
  stepPrinting(programStep);
}

const { main } = await import("../../../src/main.ts");
const [node = "", program = "", ...words] = process.argv;
for (let rest = words; ; ) {
  const end = rest.indexOf("--then");
  process.argv = [node, program, ...(end < 0 ? rest : rest.slice(0, end))];
  process.exitCode = await main();
  if (end < 0) break;
  process.stdout.write(`\u001e${process.exitCode}\u001e`);
  rest = rest.slice(end + 1);
}
