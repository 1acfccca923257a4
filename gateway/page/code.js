// A request that was made, as code that makes it again.

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const literal = (text) => JSON.stringify(text);
const TYPES = { png: "image/png", jpeg: "image/jpeg", webp: "image/webp" };

/** fields: [name, value] of the form without its image. -> {curl, python, javascript} */
export function codeOf(url, file, output, fields, asksForToken) {
  const accept = TYPES[Object.fromEntries(fields).output_format];
  return {
    curl: curl(url, file, output, fields, accept, asksForToken),
    python: python(url, file, output, fields, accept, asksForToken),
    javascript: javascript(url, file, output, fields, accept, asksForToken),
  };
}

function curl(url, file, output, fields, accept, asksForToken) {
  const lines = [`curl ${quoted(url)}`, `-H 'Accept: ${accept}'`];
  if (asksForToken) lines.push('-H "Authorization: Bearer $UPSCALE_TOKEN"');
  lines.push(`-F ${quoted(`image=@"${file.replace(/["\\]/g, "\\$&")}"`)}`);
  for (const [name, value] of fields) lines.push(`--form-string ${quoted(`${name}=${value}`)}`);
  lines.push(`--fail-with-body -o ${quoted(output)}`);
  return lines.join(" \\\n  ");
}

function python(url, file, output, fields, accept, asksForToken) {
  const headers = [`"Accept": "${accept}"`];
  if (asksForToken) headers.push(`"Authorization": "Bearer " + os.environ["UPSCALE_TOKEN"]`);
  return `${asksForToken ? "import os\n" : ""}from pathlib import Path

import httpx

response = httpx.post(
    ${literal(url)},
    headers={${headers.join(", ")}},
    files={"image": Path(${literal(file)}).read_bytes()},
    data={
${fields.map(([name, value]) => `        "${name}": ${literal(value)},`).join("\n")}
    },
    timeout=300,
)
response.raise_for_status()
Path(${literal(output)}).write_bytes(response.content)`;
}

function javascript(url, file, output, fields, accept, asksForToken) {
  const headers = [`Accept: "${accept}"`];
  if (asksForToken) headers.push("Authorization: `Bearer ${process.env.UPSCALE_TOKEN}`");
  return `import { openAsBlob } from "node:fs";
import { writeFile } from "node:fs/promises";

const body = new FormData();
body.append("image", await openAsBlob(${literal(file)}));
${fields.map(([name, value]) => `body.append("${name}", ${literal(value)});`).join("\n")}
const response = await fetch(${literal(url)}, {
  method: "POST",
  headers: { ${headers.join(", ")} },
  body,
});
if (!response.ok) throw new Error(await response.text());
await writeFile(${literal(output)}, Buffer.from(await response.arrayBuffer()));`;
}
