import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeEvent, eventSchema } from "../../../src/journal/entry/documents.ts";
import { documentReader, encodeDocument, object } from "../../../src/json.ts";
import { sampleEvent } from "../../support/events.ts";

test("an event survives, its 64-bit time to the last tick", () => {
  const texts = fc.string({ unit: "binary" });
  fc.assert(
    fc.property(
      texts,
      texts,
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.boolean(),
      (a, b, eventTime, isBare) => {
        const full = { ...sampleEvent(a, [{ path: `/${b}`, name: b, type: 3 }]), eventTime };
        const event = isBare ? { ...full, application: null, eventDescription: b } : full;
        const text = encodeDocument({ event: encodeEvent(event) }).toString();
        assert.deepEqual(documentReader("x.json", () => object({ event: eventSchema() }))(text).event, event);
      },
    ),
  );
});
