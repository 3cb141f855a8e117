import { readFileSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { limits } from "../../protocol/limits.ts";
import { relay } from "../../protocol/sandbox-paths.ts";
import { describeFault, type Log } from "./log.ts";

const AUTHORITY = "/v1/web/authority.pem";
const BUNDLE = "/tmp/cordon-ca.pem";
/** Where distributions keep the authorities that they trust: Debian, Red Hat, Alpine and SUSE. */
const SYSTEM_BUNDLES = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/** Names by which programs are told of a bundle: OpenSSL, Node, Python's requests, curl, git, Go and Rust. */
const BUNDLE_NAMES = ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"];
const PROXY_NAMES = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];
const LOOPBACK = "127.0.0.1,localhost,::1";

/**
 * What makes an unmodified guest go to the web by way of the door: proxy variables, and a bundle with the gateway's
 * authority beside those that the root file system trusts. Empty where the agent's fleet has no way to the web.
 */
export async function webEnvironment(
  doorSocket: string,
  log: Log,
  bundle: string = BUNDLE,
): Promise<Readonly<Record<string, string>>> {
  try {
    const authority = await authorityAt(doorSocket);
    if (!authority.includes("BEGIN CERTIFICATE")) return {};
    writeFileSync(bundle, `${systemBundle()}\n${authority}`, { mode: 0o644 });
    const proxy = `http://${relay.host}:${relay.port}`;
    return {
      ...Object.fromEntries(PROXY_NAMES.map((name) => [name, proxy])),
      ...Object.fromEntries(BUNDLE_NAMES.map((name) => [name, bundle])),
      ...{ NO_PROXY: LOOPBACK, no_proxy: LOOPBACK },
      // Node's own fetch looks at the proxy variables only when it is told to.
      NODE_USE_ENV_PROXY: "1",
    };
  } catch (fault) {
    log("warn", "web.no_access", { fault: describeFault(fault) });
    return {};
  }
}

function authorityAt(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ socketPath, path: AUTHORITY, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece: string) => {
        text += piece;
        if (text.length > limits.agent.answerBytesMax) response.destroy(new Error("the answer is too long"));
      });
      response.once("end", () => resolve(response.statusCode === 200 ? text : ""));
      response.once("error", reject);
    });
    request.setTimeout(limits.agent.backOffMsMax, () => request.destroy(new Error("the door does not answer")));
    request.once("error", reject);
  });
}

function systemBundle(): string {
  for (const file of SYSTEM_BUNDLES) {
    try {
      return readFileSync(file, "utf8");
    } catch {
      // The next one, perhaps.
    }
  }
  return "";
}
