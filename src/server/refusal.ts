/** How the handling of a request ends early: with a status and a reason for the client, or with nobody left to answer. */

/** Ends the handling of a request with a status and a plain reason. */
export class Refusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  /** The cause is for whoever watches the server, not for the client. */
  constructor(
    status: number,
    reason: string,
    { headers = {}, cause }: { headers?: Record<string, string>; cause?: unknown } = {},
  ) {
    super(reason, { cause });
    this.status = status;
    this.headers = headers;
  }
}

/** The client stopped in the middle of its body: there is nobody to answer. */
export class BrokenBody extends Error {}
