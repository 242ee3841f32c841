/** `cer schema`: the JSON Schema of the event file. */

import type { Terminal } from "../context.ts";
import { EXIT, type ExitCode } from "../errors.ts";
import { eventJsonSchema } from "../event/json.ts";

export async function runSchema(terminal: Terminal): Promise<ExitCode> {
  terminal.print(JSON.stringify(await eventJsonSchema(), null, 2));
  return EXIT.ok;
}
