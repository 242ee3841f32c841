/** nginx as a CER server: it answers level 1 with a fixed text, keeps what was posted, and takes the PUT with its DAV module. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Keeper } from "../archives/kept-upload.ts";
import type { Certificate } from "./certificates.ts";
import { type Daemon, freePorts, startDaemon } from "./daemon.ts";

export type Nginx = Daemon &
  Keeper & {
    readonly port: number;
    /** With TLS; 0 when no certificate was given. */
    readonly tlsPort: number;
  };

export type NginxOptions = {
  readonly directory: string;
  /** The text of every level 1 answer; back-slashes are back-slashes. */
  readonly answer: string;
  readonly certificate?: Certificate;
  /** nginx directives for level 1, and for level 2. */
  readonly level1?: string;
  readonly level2?: string;
  /** Of an archive, as nginx writes sizes; without bound when left out. */
  readonly largest?: string;
};

export async function startNginx(options: NginxOptions): Promise<Nginx> {
  const { directory, certificate } = options;
  const posted = join(directory, "posted");
  const stored = join(directory, "stored");
  await Promise.all([posted, stored, join(directory, "answer")].map((path) => mkdir(path)));
  await writeFile(join(directory, "answer", "answer"), options.answer, "latin1");
  const [port = 0, tlsPort = 0] = await freePorts(2);
  const config = join(directory, "nginx.conf");
  await writeFile(config, configOf(options, { port, tlsPort, posted, stored }));
  const daemon = await startDaemon("nginx", ["-p", directory, "-c", config, "-e", "stderr"], port);
  return { ...daemon, port, tlsPort: certificate === undefined ? 0 : tlsPort, posted, stored };
}

type Where = Pick<Nginx, "port" | "tlsPort" | "posted" | "stored">;

function configOf(options: NginxOptions, { port, tlsPort, posted, stored }: Where): string {
  const { directory, certificate, level1 = "", level2 = "", largest = "0" } = options;
  const tls =
    certificate === undefined
      ? ""
      : `listen 127.0.0.1:${tlsPort} ssl; ssl_certificate ${certificate.certificate}; ssl_certificate_key ${certificate.key};`;
  // Only what is passed on is read, and kept: level 1 goes through a second hop inside.
  return `
daemon off; user root; worker_processes 1; pid ${directory}/nginx.pid;
events { worker_connections 64; }
http {
  access_log ${directory}/access.log;
  client_body_temp_path ${directory}/body; proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi; uwsgi_temp_path ${directory}/uwsgi; scgi_temp_path ${directory}/scgi;
  server {
    listen 127.0.0.1:${port};
    ${tls}
    location = /stage2.htm {
      ${level1}
      client_body_in_file_only on; client_body_temp_path ${posted};
      proxy_method GET; proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_pass http://127.0.0.1:${port}/answer;
    }
    location = /answer { root ${directory}/answer; default_type text/plain; }
    location /PersistedCabs/ {
      root ${stored}; dav_methods PUT; create_full_put_path on; client_max_body_size ${largest};
      ${level2}
    }
  }
}
`;
}
