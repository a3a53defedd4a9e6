// read.js FILE writes what is in a recording, as the TypeScript library for MCAP reads it: one JSON
// object a line for each message. The test TestNode of the package record reads these lines.
"use strict";
const { createHash } = require("node:crypto");
const { createReadStream } = require("node:fs");
const { open } = require("node:fs/promises");
const { McapIndexedReader, McapStreamReader } = require("@mcap/core");
const { FileHandleReadable } = require("@mcap/nodejs");
const { loadDecompressHandlers, protobufFromBinaryDescriptor } = require("@mcap/support");
const { parse } = require("@foxglove/rosmsg");
const { MessageReader } = require("@foxglove/rosmsg2-serialization");

const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");

// plain makes a value that JSON can have.
const plain = (_, v) => (typeof v === "bigint" ? v.toString() : ArrayBuffer.isView(v) ? Array.from(v) : v);

// decoderOf returns a function that decodes the messages of a channel.
function decoderOf(channel, schema) {
  switch (channel.messageEncoding) {
    case "protobuf": {
      const type = protobufFromBinaryDescriptor(schema.data).lookupType(schema.name);
      return (data) => {
        const m = type.decode(data);
        if (schema.name === "foxglove.CompressedImage") {
          return { format: m.format, frame: m.frameId ?? m.frame_id, data: hash(m.data) };
        }
        return { width: m.width, height: m.height, step: m.step, encoding: m.encoding, frame: m.frameId ?? m.frame_id, data: hash(m.data) };
      };
    }
    case "cdr": {
      const reader = new MessageReader(parse(new TextDecoder().decode(schema.data), { ros2: true }));
      return (data) => reader.readMessage(data);
    }
    case "json":
      return (data) => JSON.parse(new TextDecoder().decode(data));
  }
  return (data) => ({ data: hash(data) });
}

async function main(path) {
  const decompressHandlers = await loadDecompressHandlers();
  // From the begin to the end, with all checksums.
  let streamed = 0;
  const stream = new McapStreamReader({ decompressHandlers, validateCrcs: true });
  for await (const part of createReadStream(path)) {
    stream.append(part);
    for (let r; (r = stream.nextRecord()); ) {
      streamed += r.type === "Message" ? 1 : 0;
    }
  }
  if (!stream.done()) {
    throw new Error("the stream is not complete");
  }
  // By the index.
  const reader = await McapIndexedReader.Initialize({ readable: new FileHandleReadable(await open(path)), decompressHandlers });
  const decoders = new Map();
  let indexed = 0;
  for await (const m of reader.readMessages()) {
    indexed++;
    const channel = reader.channelsById.get(m.channelId);
    const schema = reader.schemasById.get(channel.schemaId);
    if (!decoders.has(m.channelId)) {
      decoders.set(m.channelId, decoderOf(channel, schema));
    }
    const value = decoders.get(m.channelId)(m.data);
    console.log(
      JSON.stringify({ topic: channel.topic, encoding: channel.messageEncoding, schema: schema?.name ?? "", sequence: m.sequence, log: m.logTime, publish: m.publishTime, value }, plain),
    );
  }
  const counted = Number(reader.statistics.messageCount);
  if (streamed !== indexed || indexed !== counted) {
    throw new Error(`${streamed} messages in the file, ${indexed} by the index, ${counted} in the statistics`);
  }
}

main(process.argv[2]).catch((err) => {
  console.error(err);
  process.exit(1);
});
