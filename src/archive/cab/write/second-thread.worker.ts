/** Deflates the segments it is sent, one after another: the other end of second-thread.ts. */
import { parentPort } from "node:worker_threads";
import { deflateSegment } from "./mszip.ts";
import type { Job, Said } from "./second-thread.ts";

const say = (said: Said) => parentPort?.postMessage(said);

parentPort?.on("message", ({ segment, level }: Job) => {
  // A message brings plain arrays of bytes.
  const { buffer, byteOffset, length } = segment.bytes;
  const bytes = Buffer.from(buffer, byteOffset, length);
  say(deflateSegment({ ...segment, bytes }, level));
});
say("up");
