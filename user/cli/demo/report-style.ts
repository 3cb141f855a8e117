import { pictureStyle } from "./zones-picture.ts";

export const reportStyle = `
:root{color-scheme:light dark;--bg:#f6f7fa;--card:#fff;--ink:#1d2433;--soft:#5d6880;--line:#dfe4ee;--good:#17794e;--bad:#c02f3a;--warn:#97610a;--bar:#2d6cdf;--barbg:#e6ebf5}
@media (prefers-color-scheme:dark){:root{--bg:#10141d;--card:#181f2c;--ink:#e8ecf4;--soft:#9aa6bd;--line:#2b3446;--good:#4fd08f;--bad:#ff7b83;--warn:#f0b357;--bar:#6ea0ff;--barbg:#242d3e}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.55 system-ui,sans-serif}
main{max-width:1120px;margin:0 auto;padding:32px 20px 64px}h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:0 0 14px}
.lead{color:var(--soft);margin:0 0 22px}.card{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:20px 22px;margin:0 0 18px;overflow-x:auto}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:14px;margin:0 0 18px}.tile{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:14px 18px}
.tile b{display:block;font-size:24px;line-height:1.2}.tile span{color:var(--soft);font-size:13px}.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}
table{border-collapse:collapse;width:100%;font-size:14px}th{text-align:left;color:var(--soft);font-weight:550;padding:0 12px 8px 0;white-space:nowrap}
td{vertical-align:top;padding:9px 12px 9px 0;border-top:1px solid var(--line)}td.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}th.num{text-align:right}
td small{display:block;color:var(--soft);overflow-wrap:anywhere}code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}.mark{font-weight:700;width:1.6em}
.bar{position:relative;height:10px;border-radius:5px;background:var(--barbg);min-width:160px;overflow:hidden}.bar i{position:absolute;inset:0 auto 0 0;background:var(--bar);border-radius:5px}.bar i.full{background:var(--bad)}
.digest{max-width:76ch}.digest h3{font-size:17px;margin:22px 0 6px}.digest h4{font-size:15px;margin:16px 0 4px}.digest p,.digest li{margin:5px 0}.digest pre{white-space:pre-wrap}.digest blockquote{margin:8px 0;padding-left:14px;border-left:3px solid var(--line);color:var(--soft)}
ul.plain{list-style:none;margin:0;padding:0}ul.plain li{margin:4px 0}footer{color:var(--soft);font-size:13px}
${pictureStyle}`;
