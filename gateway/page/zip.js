// Files in one ZIP, stored as they are: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT

const UTF8 = 0x0800;
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte;
});

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** files: [name, Blob] each -> a Blob. Names that are there already get a number. */
export async function zip(files) {
  const parts = [];
  const directory = [];
  const taken = new Set();
  let offset = 0;
  for (const [wanted, blob] of files) {
    const name = new TextEncoder().encode(unique(wanted, taken));
    const content = new Uint8Array(await blob.arrayBuffer());
    const facts = [20, UTF8, 0, ...dosTime(new Date()), crc32(content), content.length, content.length];
    const head = record(0x04034b50, facts, [name.length, 0]);
    directory.push(record(0x02014b50, [20, ...facts], [name.length, 0, 0, 0, 0], [0, offset]), name);
    parts.push(head, name, content);
    offset += head.length + name.length + content.length;
  }
  const length = directory.reduce((sum, part) => sum + part.length, 0);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(8, files.length, true);
  end.setUint16(10, files.length, true);
  end.setUint32(12, length, true);
  end.setUint32(16, offset, true);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** A header: its signature, the facts that both kinds have (the last three of 4 bytes), and more. */
function record(signature, facts, shorts, longs = []) {
  const fields = [[signature, 4]];
  facts.forEach((value, index) => fields.push([value, index < facts.length - 3 ? 2 : 4]));
  shorts.forEach((value) => fields.push([value, 2]));
  longs.forEach((value) => fields.push([value, 4]));
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [, bytes]) => sum + bytes, 0)));
  let place = 0;
  for (const [value, bytes] of fields) {
    if (bytes === 2) view.setUint16(place, value, true);
    else view.setUint32(place, value, true);
    place += bytes;
  }
  return new Uint8Array(view.buffer);
}

function dosTime(date) {
  const time = (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1);
  const day = ((date.getFullYear() - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate();
  return [time, day];
}

function unique(name, taken) {
  const [, stem, suffix] = name.match(/^(.*?)(\.[^.]*)?$/);
  let free = name;
  for (let count = 2; taken.has(free); count++) free = `${stem}-${count}${suffix ?? ""}`;
  taken.add(free);
  return free;
}
