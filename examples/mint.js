#!/usr/bin/env node
// Mints the tokens of one outgoing mail with nothing but Node's own modules.
//
// usage: mint.js SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]
//
// `desist signing-key export` prints the keys, the serial and the tenant's number.
"use strict";
const { createHmac } = require("node:crypto");

const DOMAIN = "fb.example.com"; // served by the MX
const URL = "https://u.example.com"; // the public HTTPS door

// Enough for addresses without quotes whose domain is written in ASCII (as xn--… where it is
// international); `POST /v1/tokens` mints for all.
function canonical(address) {
  const text = address.replace(/^[ \t\r\n\f]+|[ \t\r\n\f]+$/g, "");
  const at = text.lastIndexOf("@");
  // Each code point by itself: the whole would follow rules of context.
  const local = Array.from(text.slice(0, Math.max(at, 0)), (c) => c.toLowerCase()).join("").normalize("NFC");
  const domain = text.slice(at + 1).replace(/\.$/, "");
  const octets = Buffer.byteLength(local);
  if (octets > 256 || octets + 1 + domain.length > 512 || !/^[^\s\0-\x20"(),:;<>@[\\\]\x7f-\x9f]+$/u.test(local)
    || !/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(domain)) {
    fail("no address, or one that this example does not know to write");
  }
  return `${local}@${domain.toLowerCase()}`;
}

function mac(key, ...parts) {
  return createHmac("sha256", key).update(Buffer.concat(parts)).digest();
}

function base32(bytes) {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
  return bits.match(/.{1,5}/g).map((five) => "abcdefghijklmnopqrstuvwxyz234567"[parseInt(five.padEnd(5, "0"), 2)]).join("");
}

function mint(use, key, serial, recipient, tenant, stream, ref) {
  const head = Buffer.alloc(6);
  head.writeUInt8(0x10 | serial % 16, 0);
  head.writeUIntBE(tenant, 1, 3);
  head.writeUInt16BE(stream, 4);
  const body = Buffer.concat([head, recipient, ref]);
  return base32(Buffer.concat([body, mac(key, body, Buffer.from(use)).subarray(0, 16)]));
}

function fail(why) {
  console.error(`mint.js: ${why}`);
  process.exit(1);
}

function main(args) {
  if (args.length < 6 || args.length > 7) {
    fail("usage: mint.js SIGNING_KEY_HEX SERIAL ADDRESS_KEY_HEX ADDRESS TENANT STREAM [REF_HEX]");
  }
  const [signingKey, addressKey, ref] = [args[0], args[2], args[6] ?? ""].map((hex) => Buffer.from(hex, "hex"));
  const [serial, tenant, stream] = [args[1], args[4], args[5]].map(Number);
  if (ref.length > 6) {
    fail("with more than 6 bytes of ref the address u-TOKEN is too long");
  }
  const recipient = mac(addressKey, Buffer.from(canonical(args[3]))).subarray(0, 10);
  const token = mint("f", signingKey, serial, recipient, tenant, stream, ref);
  const bounce = mint("b", signingKey, serial, recipient, tenant, stream, Buffer.alloc(0));
  console.log(`feedback token: ${token}`);
  console.log(`bounce token: ${bounce}`);
  console.log(`MAIL FROM: b-${bounce}@${DOMAIN}`);
  console.log(`List-Unsubscribe: <${URL}/u/${token}>, <mailto:u-${token}@${DOMAIN}?subject=unsubscribe>`);
  console.log("List-Unsubscribe-Post: List-Unsubscribe=One-Click");
  console.log(`CFBL-Address: cfbl@${DOMAIN}; report=arf\nCFBL-Feedback-ID: ${token}\nX-Desist: ${token}`);
}

main(process.argv.slice(2));
