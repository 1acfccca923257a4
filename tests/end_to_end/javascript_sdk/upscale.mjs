// One call of the published SDK: what to send as JSON in argv, what it returned or threw as JSON out.
import { openAsBlob } from "node:fs";
import { readFile } from "node:fs/promises";
import { Livepeer } from "@livepeer/ai";

const { url, token, path, given, request } = JSON.parse(process.argv[2]);
const fileName = "photo.png";
const images = {
  file: () => openAsBlob(path),
  bytes: async () => ({ fileName, content: new Uint8Array(await readFile(path)) }),
  stream: async () => ({ fileName, content: (await openAsBlob(path)).stream() }),
};

const sdk = new Livepeer({ serverURL: url, httpBearer: token });
try {
  const answer = await sdk.generate.upscale({ ...request, image: await images[given]() });
  console.log(JSON.stringify(answer.imageResponse));
} catch ({ name, detail, statusCode }) {
  console.log(JSON.stringify({ error: name, detail, status: statusCode }));
}
