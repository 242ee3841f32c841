/** A certificate authority for one test, made with openssl, and the server certificates that it signs. */

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export type Certificate = { readonly certificate: string; readonly key: string };

export type Authority = {
  /** Path of its own certificate, for NODE_EXTRA_CA_CERTS. */
  readonly certificate: string;
  /** A server's certificate for one name or address, as OpenSSL writes it: "DNS:localhost", "IP:127.0.0.1". */
  sign(subject: string): Promise<Certificate>;
};

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

export async function makeAuthority(directory: string): Promise<Authority> {
  const certificate = join(directory, "authority.pem");
  const authorityKey = join(directory, "authority.key");
  const own = ["-keyout", authorityKey, "-out", certificate, "-subj", "/CN=The company's own authority"];
  await run("openssl", ["req", "-x509", "-days", "2", ...NEW_KEY, ...own]);
  let serial = 0;
  return {
    certificate,
    sign: async (subject) => {
      const path = join(directory, `server-${++serial}`);
      await run("openssl", [
        "req",
        ...NEW_KEY,
        "-keyout",
        `${path}.key`,
        "-out",
        `${path}.csr`,
        "-subj",
        "/",
      ]);
      await writeFile(`${path}.ext`, `subjectAltName=${subject}\n`);
      const signer = ["-CA", certificate, "-CAkey", authorityKey, "-set_serial", String(serial)];
      const files = ["-in", `${path}.csr`, "-out", `${path}.pem`, "-extfile", `${path}.ext`];
      await run("openssl", ["x509", "-req", "-days", "2", ...signer, ...files]);
      return { certificate: `${path}.pem`, key: `${path}.key` };
    },
  };
}
