import assert from "node:assert/strict";
import { test } from "node:test";
import { compileScrubber, PATTERN_BYTES_MIN, Scrubber } from "./scrubber.ts";

/** As keys of clouds and tokens of services look, and one of every visible character. */
const SECRETS = [
  "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY==",
  "4711:AAH/x+y=z!(live)*'~@home",
  Buffer.from(Array.from({ length: 94 }, (_, at) => 0x21 + at)).toString("latin1"),
];

const u = (text: string, chars: RegExp, upper = false): string =>
  text.replace(chars, (char) => {
    const code = char.charCodeAt(0).toString(16).padStart(4, "0");
    return `\\u${upper ? code.toUpperCase() : code}`;
  });
const form = (text: string): string => new URLSearchParams({ a: text }).toString().slice(2);
/** What the encoders of languages and frameworks make of a text, by their documentation where Node has them not itself. */
const echoes: Readonly<Record<string, (text: string) => string>> = {
  "encodeURIComponent, as the gateway puts it into a query": encodeURIComponent,
  "encodeURI of a whole address": encodeURI,
  "URLSearchParams of a form": form,
  "the gateway's own path": (text) =>
    encodeURIComponent(text)
      .replaceAll("%3A", ":")
      .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`),
  "urllib.parse.quote": (text) =>
    encodeURIComponent(text)
      .replaceAll("%2F", "/")
      .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`),
  "url.PathEscape in lower case": (text) =>
    encodeURIComponent(text)
      .replace(/%(?:24|26|2B|2C|3B|3D|3A|40)/g, (code) => decodeURIComponent(code))
      .replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
  "json_encode of PHP": (text) => JSON.stringify(text).replaceAll("/", "\\/"),
  "encoding/json of Go": (text) => u(JSON.stringify(text).slice(1, -1), /[&<>]/g),
  Gson: (text) => u(JSON.stringify(text).slice(1, -1), /[&<>=']/g),
  "System.Text.Json": (text) => u(text.replaceAll("\\", "\\\\"), /["&'+<>`]/g, true),
  "htmlspecialchars of PHP": (text) =>
    text
      .replace(/&/g, "&amp;")
      .replace(/</g, "&lt;")
      .replace(/>/g, "&gt;")
      .replace(/"/g, "&quot;")
      .replace(/'/g, "&#039;"),
  "html.escape of Python": (text) =>
    text
      .replace(/&/g, "&amp;")
      .replace(/</g, "&lt;")
      .replace(/>/g, "&gt;")
      .replace(/"/g, "&quot;")
      .replace(/'/g, "&#x27;"),
  "html/template of Go": (text) =>
    text
      .replace(/&/g, "&amp;")
      .replace(/</g, "&lt;")
      .replace(/>/g, "&gt;")
      .replace(/"/g, "&#34;")
      .replace(/'/g, "&#39;")
      .replace(/\+/g, "&#43;"),
  mustache: (text) =>
    text.replace(/[&<>"'/`=]/g, (char) =>
      char === "&"
        ? "&amp;"
        : char === "<"
          ? "&lt;"
          : char === ">"
            ? "&gt;"
            : char === '"'
              ? "&quot;"
              : char === "'"
                ? "&#39;"
                : `&#x${char.charCodeAt(0).toString(16).toUpperCase()};`,
    ),
};

for (const [name, encode] of Object.entries(echoes)) {
  test(`a secret does not come back by ${name}`, () => {
    for (const secret of SECRETS) {
      const echoed = encode(secret);
      const scrubber = new Scrubber(compileScrubber([Buffer.from(secret, "latin1")], "[gone]"));
      const text = Buffer.concat([scrubber.push(Buffer.from(`you said ${echoed}, no`)), scrubber.end()]).toString();
      assert.equal(scrubber.hits, 1, `${echoed} came back as ${text}`);
      for (let at = 0; at + PATTERN_BYTES_MIN <= echoed.length; at++)
        assert.ok(!text.includes(echoed.slice(at, at + PATTERN_BYTES_MIN)), text);
    }
  });
}
