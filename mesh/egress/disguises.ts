/** The forms in which a server could send a secret back: each encoder escapes other characters, none escapes all alike. */
export function disguisesOf(secret: Uint8Array): Buffer[] {
  const plain = Buffer.from(secret);
  const text = plain.toString("latin1");
  const forms = [
    ...[text, plain.toString("hex"), plain.toString("hex").toUpperCase()],
    ...base64Forms(plain),
    ...KEPT.flatMap((kept) => percentForms(text, kept)),
    ...jsonForms(text),
    ...htmlForms(text),
    [...text].reverse().join(""),
  ];
  return [...new Set(forms)].map((form) => Buffer.from(form, "latin1"));
}

/** Both alphabets at the three alignments. Characters that mix with neighbouring bytes are cut off: the rest is always the same. */
function base64Forms(plain: Buffer): string[] {
  return [0, 2, 3].flatMap((skip, shift) => {
    const whole = Buffer.concat([Buffer.alloc(shift), plain]);
    return (["base64", "base64url"] as const).map((encoding) =>
      whole
        .toString(encoding)
        .replaceAll("=", "")
        .slice(skip, Math.floor((whole.length * 8) / 6)),
    );
  });
}

const hexOf = (char: string): string => char.charCodeAt(0).toString(16).padStart(2, "0");

/**
 * What percent-encoders leave as it is. In this order: RFC 3986 §2.3; nothing; encodeURIComponent; forms (WHATWG URL
 * §5.2); the first with slashes; a segment of a path (RFC 3986 §3.3), and a path; the web gateway's own paths; encodeURI;
 * a query (WHATWG URL §1.3).
 */
const KEPT: readonly RegExp[] = [
  ...[/[A-Za-z0-9._~-]/, /(?!)/, /[A-Za-z0-9._~!'()*-]/, /[A-Za-z0-9._*-]/, /[A-Za-z0-9._~/-]/],
  ...[/[A-Za-z0-9._~!$&'()*+,;=:@-]/, /[A-Za-z0-9._~!$&'()*+,;=:@/-]/, /[A-Za-z0-9._~:-]/],
  ...[/[A-Za-z0-9._~!#$&'()*+,/:;=?@-]/, /[^"#<>']/],
];

function percentForms(text: string, kept: RegExp): string[] {
  const form = (code: (char: string) => string): string =>
    text.replace(/[^]/g, (char) => (kept.test(char) ? char : `%${code(char)}`));
  return [form((char) => hexOf(char).toUpperCase()), form(hexOf)];
}

/** As it must be; PHP; Go, Rails; Gson; .NET; every character. */
function jsonForms(text: string): string[] {
  const plain = JSON.stringify(text).slice(1, -1);
  const small = (of: string, chars: RegExp): string => of.replace(chars, (char) => `\\u00${hexOf(char)}`);
  const wide = text.replaceAll("\\", "\\\\").replace(/["&'+<>`]/g, (char) => `\\u00${hexOf(char).toUpperCase()}`);
  return [
    ...[
      plain,
      plain.replaceAll("/", "\\/"),
      small(plain, /[&<>]/g),
      small(plain, /[&<>='/]/g),
      small(plain, /[&<>=']/g),
    ],
    ...[wide, small(text, /[^]/g)],
  ];
}

/** The three that all escape, with the spellings of the quotes; then those that escape a few more. */
function htmlForms(text: string): string[] {
  const named = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const spelt = QUOTES.map(([double, single]) => named.replaceAll('"', double).replaceAll("'", single));
  const more = spelt.flatMap((form) => [
    form.replaceAll("+", "&#43;"),
    form.replaceAll("/", "&#x2F;"),
    form.replace(/[/`=]/g, (char) => `&#x${hexOf(char).toUpperCase()};`),
  ]);
  return [named, ...spelt, ...more];
}

const QUOTES = [
  ...[["&quot;", "&#39;"] as const, ["&quot;", "&#039;"] as const, ["&quot;", "&#x27;"] as const],
  ...[["&#34;", "&#39;"] as const, ["&quot;", "&apos;"] as const, ["&quot;", "'"] as const, ['"', "'"] as const],
];
