/**
 * What can be wrong with an archive, read or written. A code says which rule was broken, the message says what, where
 * and against which bound; `offset` is the byte in the cabinet where a reader stopped. The codes are older than the
 * tar: those of what both have, names, entries and the spool, begin with CAB as well.
 */

type ArchiveErrorCode =
  /** Not a cabinet at all, or another format with the same extension. */
  | "CAB_NOT_A_CABINET"
  /** The file ends before a structure it announces. */
  | "CAB_TRUNCATED"
  /** A field holds what the format does not allow. */
  | "CAB_CORRUPT"
  /** A block's checksum does not match its bytes. */
  | "CAB_CHECKSUM"
  /** A real cabinet that uses something this code does not read: LZX, Quantum, a split set. */
  | "CAB_UNSUPPORTED"
  /** A name that is empty or too long. */
  | "CAB_BAD_NAME"
  /** A counter or a caller's bound would overflow. */
  | "CAB_LIMIT"
  /** An entry's body failed while it was being read. */
  | "CAB_ENTRY_FAILED"
  /** The spool could not be written. */
  | "CAB_WRITE_FAILED";

export class ArchiveError extends Error {
  override readonly name = "ArchiveError";
  readonly code: ArchiveErrorCode;
  /** Byte offset in the cabinet, for what a reader found. */
  readonly offset: number | undefined;

  constructor(code: ArchiveErrorCode, message: string, details: { offset?: number; cause?: unknown } = {}) {
    super(
      details.offset === undefined ? message : `${message} (at byte ${details.offset})`,
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.code = code;
    this.offset = details.offset;
  }
}

/** A reader's verdict on what the format does not allow, at that byte of the cabinet. */
export function corrupt(message: string, offset: number): ArchiveError {
  return new ArchiveError("CAB_CORRUPT", message, { offset });
}
