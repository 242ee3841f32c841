import assert from "node:assert/strict";
import { test } from "node:test";
import { inflateRawSync } from "node:zlib";
import {
  type Deflate,
  type DeflateOptions,
  openDeflate,
  separateDeflate,
} from "../../../../src/archive/cab/write/deflate.ts";
import { logText, randomBytes } from "../../../support/archives/inputs.ts";

const BLOCK = 32_768;
const TEXT = logText(5 * BLOCK, 1);
const [BEFORE, ...BLOCKS] = [0, 1, 2, 3, 4].map((index) => TEXT.subarray(index * BLOCK, (index + 1) * BLOCK));

const WAYS: Readonly<Record<string, (options: DeflateOptions) => Deflate>> = { openDeflate, separateDeflate };

for (const [name, open] of Object.entries(WAYS)) {
  test(`${name}: each write ends at a whole byte and goes on where the last one ended`, () => {
    for (const level of [1, 4, 9]) {
      for (const blocks of [BLOCKS, [randomBytes(BLOCK, 3), Buffer.alloc(BLOCK), TEXT.subarray(0, 100)]]) {
        const deflate = open({ level, ...(BEFORE === undefined ? {} : { dictionary: BEFORE }) });
        const target = Buffer.alloc(2 * BLOCK);
        const written = blocks.map((block) => Buffer.from(target.subarray(0, deflate.write(block, target))));
        deflate.close();
        // A flush ends with an empty stored block that is not the last one.
        for (const bytes of written) assert.equal(bytes.toString("hex").slice(-8), "0000ffff");
        const stream = Buffer.concat([...written, Buffer.from([3, 0])]);
        assert.ok(inflateRawSync(stream, { dictionary: BEFORE }).equals(Buffer.concat(blocks)));
      }
    }
  });

  test(`${name}: what came before is referred to`, () => {
    const target = Buffer.alloc(2 * BLOCK);
    const noise = randomBytes(BLOCK, 7);
    const deflate = open({ level: 4, dictionary: noise });
    const again = deflate.write(noise.subarray(-20_000), target);
    const once = deflate.write(noise.subarray(-20_000), target);
    deflate.close();
    assert.ok(again < 1000 && once < 1000, `${again}, ${once}`);
  });

  test(`${name}: a block's memory may be written over as soon as it is deflated`, () => {
    const deflate = open({ level: 9 });
    const target = Buffer.alloc(2 * BLOCK);
    const [before, after] = [randomBytes(BLOCK, 11), randomBytes(BLOCK, 12)];
    const block = Buffer.from(before);
    const first = Buffer.from(target.subarray(0, deflate.write(block, target)));
    after.copy(block);
    const second = target.subarray(0, deflate.write(after.subarray(-20_000), target));
    deflate.close();
    const stream = Buffer.concat([first, second, Buffer.from([3, 0])]);
    assert.ok(inflateRawSync(stream).equals(Buffer.concat([before, after.subarray(-20_000)])));
  });
}

test("too little room is an error, not a cut stream", () => {
  const deflate = openDeflate({ level: 4 });
  assert.throws(() => deflate.write(randomBytes(BLOCK, 5), Buffer.alloc(1000)), {
    message: "deflating took more room than there was",
  });
  deflate.close();
});
