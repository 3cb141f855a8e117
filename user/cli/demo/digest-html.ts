import { html, type Html } from "./html.ts";

/**
 * The few forms of Markdown that a digest uses: headings, lists, quotes, paragraphs. Links, images and
 * inline HTML stay visible text: the digest was written by an agent, and a picture is a request.
 */
export function digestHtml(markdown: string): Html {
  const blocks: Html[] = [];
  let items: Html[] = [];
  let words: string[] = [];
  const flush = (): void => {
    if (words.length > 0) blocks.push(html`<p>${words.join(" ")}</p>`);
    if (items.length > 0)
      blocks.push(
        html`<ul>
          ${items}
        </ul>`,
      );
    words = [];
    items = [];
  };
  for (const line of markdown.split(/\r?\n/)) {
    const heading = /^(#{1,6}) (.*)$/.exec(line);
    const item = /^ {0,3}(?:[-*]|\d{1,3}\.) (.*)$/.exec(line);
    if (item) {
      if (words.length > 0) flush();
      items.push(html`<li>${item[1] ?? ""}</li>`);
      continue;
    }
    if (heading || line.startsWith("> ") || line.trim() === "" || items.length > 0) flush();
    if (heading)
      blocks.push(
        heading[1] && heading[1].length <= 2 ? html`<h3>${heading[2] ?? ""}</h3>` : html`<h4>${heading[2] ?? ""}</h4>`,
      );
    else if (line.startsWith("> ")) blocks.push(html`<blockquote>${line.slice(2)}</blockquote>`);
    else if (line.trim() !== "") words.push(line.trim());
  }
  flush();
  return html`${blocks}`;
}
