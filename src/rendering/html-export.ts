import type { Block, Image, Message, ToolCall } from "../agents/conversation.ts";
import type { Between } from "./conversation-text.ts";
import type { DiffLine } from "./diff-lines.ts";
import { type Exported, inOrder, utcClock } from "./export.ts";
import { htmlText, markdownHtml } from "./markdown-html.ts";
import { changeOf, countChange, shortPath } from "./terminal.ts";

/**
 * A conversation as one HTML file that needs nothing else: no script, nothing from the network, and a policy that
 * forbids both, should anything have slipped through. Every text in it is escaped.
 */
export async function* htmlExport(exported: Exported): AsyncGenerator<string> {
  const { title, session, agentTitle, snapshot } = exported;
  const name = htmlText(title || session);
  yield `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>${name}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${name}</h1>
<p>${htmlText(agentTitle)} · <code>${htmlText(session)}</code>${snapshot === null ? "" : ` · snapshot ${snapshot}`}</p>
</header>
<main>
`;
  yield* inOrder(exported, betweenHtml, (message, before) => messageHtml(message, before, exported));
  yield "</main>\n</body>\n</html>\n";
}

function betweenHtml({ commit, branch, device }: Between): string {
  const parts = [
    ...(commit
      ? [`${branch === null ? "detached" : htmlText(branch)} @ <code>${htmlText(commit.slice(0, 7))}</code>`]
      : []),
    ...(device ? [`on ${htmlText(device)}`] : []),
  ];
  return `<div class="mark">${parts.join(" · ")}</div>\n`;
}

function messageHtml(message: Message, before: Message | null, exported: Exported): string {
  const body = message.blocks.map((block) => blockHtml(block, exported)).join("");
  if (body === "") return "";
  const same = before?.role === message.role && message.role !== "user";
  const who = message.role === "user" ? "You" : htmlText(exported.agentTitle);
  const time = message.at
    ? `<time datetime="${htmlText(message.at)}">${htmlText(utcClock(message.at))}</time>`
    : "";
  const aside = message.aside ? " (aside)" : "";
  const head =
    same || message.role === "system"
      ? ""
      : `<h2>${who}${aside} ${time} <a href="#m${message.n}">#${message.n}</a></h2>\n`;
  return `<section id="m${message.n}" class="${message.role}">\n${head}${body}</section>\n`;
}

function blockHtml(block: Block, exported: Exported): string {
  switch (block.kind) {
    case "text":
      return markdownHtml(block.text);
    case "thinking":
      return details("Thinking", markdownHtml(block.text), "thinking");
    case "note":
      return `<pre class="note">${htmlText(block.text)}</pre>\n`;
    case "compaction":
      return details("What came before was summarised", markdownHtml(block.summary), "compaction");
    case "image":
      return imageHtml(block.image);
    case "tool":
      return toolHtml(block, exported);
  }
}

const shownTypes = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

function imageHtml({ mediaType, data }: Image): string {
  if (!shownTypes.has(mediaType) || !/^[A-Za-z0-9+/]+={0,2}$/.test(data))
    return `<p class="note">[image: ${htmlText(mediaType)}]</p>\n`;
  return `<img alt="image" src="data:${mediaType};base64,${data}">\n`;
}

function toolHtml(call: ToolCall, { root }: Exported): string {
  const change = changeOf(call);
  const counted = change ? countChange(change) : "";
  const { result, action } = call;
  const head = `<b>${htmlText(call.name || "result")}</b> <code>${htmlText(oneLine(shortPath(call.subject, root)))}</code>`;
  const tail = `${counted === "" ? "" : ` <small>${counted}</small>`}${result?.failed ? " <small>failed</small>" : ""}`;
  const body: string[] = [];
  if (change) body.push(changeHtml(change));
  else if (action?.kind === "run") body.push(`<pre>$ ${htmlText(action.command)}</pre>\n`);
  else if (action?.kind === "plan") {
    const boxes = { done: "☑", active: "▸", pending: "☐" };
    body.push(
      `<ul class="plan">${action.items.map((one) => `<li>${boxes[one.state]} ${htmlText(one.text)}</li>`).join("")}</ul>\n`,
    );
  } else if (call.input !== null && Object.keys(call.input as object).length > 0)
    body.push(`<pre>${htmlText(JSON.stringify(call.input, null, 2))}</pre>\n`);
  if (result && result.text.trim() !== "" && (!change || result.failed))
    body.push(`<pre class="${result.failed ? "failed" : "result"}">${htmlText(result.text)}</pre>\n`);
  body.push(...(result?.images ?? []).map(imageHtml));
  return details(head + tail, body.join(""), result?.failed ? "tool failed" : "tool");
}

const oneLine = (text: string): string => {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > 160 ? `${line.slice(0, 159)}…` : line;
};

function changeHtml(change: readonly (DiffLine | null)[]): string {
  const lines = change.map((line) => {
    if (!line) return "<i>…</i>";
    const text = `${line.kind}${htmlText(line.text)}`;
    return line.kind === "+" ? `<ins>${text}</ins>` : line.kind === "-" ? `<del>${text}</del>` : text;
  });
  return `<pre class="diff">${lines.join("\n")}</pre>\n`;
}

/** `summary` is HTML. */
const details = (summary: string, body: string, kind: string): string =>
  `<details class="${kind}"><summary>${summary}</summary>\n${body}</details>\n`;

const style = `
:root{--bg:#fff;--fg:#1f2328;--dim:#656d76;--line:#d1d9e0;--soft:#f6f8fa;--you:#1a7f37;--agent:#9a6700;--mark:#0969da;--in:#dafbe1;--out:#ffebe9;--bad:#cf222e}
@media (prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--dim:#8d96a0;--line:#30363d;--soft:#161b22;--you:#3fb950;--agent:#d29922;--mark:#58a6ff;--in:#12351f;--out:#421a1d;--bad:#f85149}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem 4rem;max-width:52rem;background:var(--bg);color:var(--fg);font:16px/1.55 system-ui,sans-serif;overflow-wrap:break-word}
header{border-bottom:1px solid var(--line);margin-bottom:1.5rem}
header p,time,section h2 a,.note,small{color:var(--dim)}
h1{font-size:1.5rem;margin:0 0 .25rem}
section{margin:0 0 1rem}
section h2{font-size:1rem;margin:1.75rem 0 .5rem}
section h2 time,section h2 a{font-weight:400;font-size:.85rem;text-decoration:none}
.user h2{color:var(--you)}.assistant h2{color:var(--agent)}
section h3,section h4,section h5,section h6{margin:1.2em 0 .4em;font-size:1.05rem}
p,ul,ol,blockquote,table{margin:.6em 0}
code,pre{font:.875em/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
code{background:var(--soft);padding:.1em .3em;border-radius:4px}
pre{background:var(--soft);padding:.75rem;border-radius:6px;overflow:auto;margin:.6em 0}
pre code{background:none;padding:0}
blockquote{border-left:3px solid var(--line);padding-left:1em;color:var(--dim)}
table{border-collapse:collapse;display:block;overflow:auto}
td,th{border:1px solid var(--line);padding:.25em .6em;text-align:left}
img{max-width:100%;border-radius:6px}
details{border:1px solid var(--line);border-radius:6px;margin:.4em 0;padding:.25rem .6rem}
summary{cursor:pointer;color:var(--dim);overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.failed>summary,pre.failed{color:var(--bad)}
.diff ins,.diff del{text-decoration:none;display:inline-block;min-width:100%}
.diff ins{background:var(--in)}.diff del{background:var(--out)}
.plan{list-style:none;padding-left:.5em}
.mark{color:var(--mark);text-align:center;border-top:1px solid var(--line);margin:2rem 0 1rem;padding-top:.5rem;font-size:.9rem}
`;
