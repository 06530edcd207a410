"use strict";
// A small application of pkcs11js, for node.sh: one subcommand a use of the module. Bytes are read from and written to files,
// so that OpenSSL can compare them.

const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");
const pkcs11js = require("pkcs11js");

const PIN = "1234";
const TOKEN = "securosys";

const pkcs11 = new pkcs11js.PKCS11();
const mechanisms = {
  CKM_SHA256_RSA_PKCS: () => ({ mechanism: pkcs11js.CKM_SHA256_RSA_PKCS }),
  CKM_SHA384_RSA_PKCS_PSS: () => ({
    mechanism: pkcs11js.CKM_SHA384_RSA_PKCS_PSS,
    parameter: {
      type: pkcs11js.CK_PARAMS_RSA_PSS,
      hashAlg: pkcs11js.CKM_SHA384,
      mgf: pkcs11js.CKG_MGF1_SHA384,
      saltLen: 48,
    },
  }),
  CKM_ECDSA_SHA256: () => ({ mechanism: pkcs11js.CKM_ECDSA_SHA256 }),
  CKM_RSA_PKCS: () => ({ mechanism: pkcs11js.CKM_RSA_PKCS }),
  CKM_RSA_PKCS_OAEP: () => ({
    mechanism: pkcs11js.CKM_RSA_PKCS_OAEP,
    parameter: {
      type: pkcs11js.CK_PARAMS_RSA_OAEP,
      hashAlg: pkcs11js.CKM_SHA256,
      mgf: pkcs11js.CKG_MGF1_SHA256,
      source: 1, // CKZ_DATA_SPECIFIED
    },
  }),
};

/** The slot of the token by its label. */
function slot() {
  const [found, ...others] = pkcs11.C_GetSlotList(true).filter((one) => pkcs11.C_GetTokenInfo(one).label.trim() === TOKEN);
  assert(found && others.length === 0);
  return found;
}

function open(pin = PIN) {
  const session = pkcs11.C_OpenSession(slot(), pkcs11js.CKF_SERIAL_SESSION);
  if (pin !== null) pkcs11.C_Login(session, pkcs11js.CKU_USER, pin);
  return session;
}

function find(session, template) {
  pkcs11.C_FindObjectsInit(session, template);
  try {
    return pkcs11.C_FindObjects(session, 100);
  } finally {
    pkcs11.C_FindObjectsFinal(session);
  }
}

/** The one key of a label. */
function key(session, label, kind = pkcs11js.CKO_PRIVATE_KEY) {
  const found = find(session, [
    { type: pkcs11js.CKA_CLASS, value: kind },
    { type: pkcs11js.CKA_LABEL, value: label },
  ]);
  assert.strictEqual(found.length, 1);
  return found[0];
}

const commands = {
  /** Class, label and id of every object. */
  objects() {
    const session = open();
    for (const object of find(session, [])) {
      const [kind, label, id] = pkcs11.C_GetAttributeValue(session, object, [
        { type: pkcs11js.CKA_CLASS },
        { type: pkcs11js.CKA_LABEL },
        { type: pkcs11js.CKA_ID },
      ]).map((attribute) => attribute.value);
      console.log(kind.readUInt32LE(), label.toString(), id.toString("hex"));
    }
  },

  /** Private keys are not there without a login; public ones are. */
  before_login() {
    const session = open(null);
    assert.strictEqual(find(session, [{ type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_PRIVATE_KEY }]).length, 0);
    assert.strictEqual(find(session, [{ type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_PUBLIC_KEY }]).length, 5);
  },

  /** The value of a certificate. */
  certificate(label, target) {
    const session = open(null);
    const object = key(session, label, pkcs11js.CKO_CERTIFICATE);
    const [value] = pkcs11.C_GetAttributeValue(session, object, [{ type: pkcs11js.CKA_VALUE }]);
    fs.writeFileSync(target, value.value);
  },

  /** Signs whole and in parts, and verifies with the token's public key. */
  sign(label, name, source, target) {
    const session = open();
    const data = fs.readFileSync(source);
    const mechanism = mechanisms[name]();
    pkcs11.C_SignInit(session, mechanism, key(session, label));
    fs.writeFileSync(target, pkcs11.C_Sign(session, data, Buffer.alloc(1024)));
    pkcs11.C_SignInit(session, mechanism, key(session, label));
    for (let start = 0; start < data.length; start += 7) pkcs11.C_SignUpdate(session, data.subarray(start, start + 7));
    const parts = pkcs11.C_SignFinal(session, Buffer.alloc(1024));
    fs.writeFileSync(`${target}.parts`, parts);
    const verify = (data) => {
      pkcs11.C_VerifyInit(session, mechanism, key(session, label, pkcs11js.CKO_PUBLIC_KEY));
      pkcs11.C_Verify(session, data, parts);
    };
    verify(data);
    data[0] ^= 1;
    assert.throws(() => verify(data), { code: pkcs11js.CKR_SIGNATURE_INVALID });
  },

  /** Encrypts with a public key, here and not at the HSM. */
  encrypt(label, name, source, target) {
    const session = open();
    pkcs11.C_EncryptInit(session, mechanisms[name](), key(session, label, pkcs11js.CKO_PUBLIC_KEY));
    fs.writeFileSync(target, pkcs11.C_Encrypt(session, fs.readFileSync(source), Buffer.alloc(1024)));
  },

  /** Decrypts with a private key. */
  decrypt(label, name, source, target) {
    const session = open();
    pkcs11.C_DecryptInit(session, mechanisms[name](), key(session, label));
    fs.writeFileSync(target, pkcs11.C_Decrypt(session, fs.readFileSync(source), Buffer.alloc(1024)));
  },

  /** Signs in the threads of libuv: `width` sessions at once, `each` signatures in each. */
  async asynchronous(label, width, each, target) {
    // The login is shared by all of them.
    open();
    await Promise.all(
      Array.from({ length: Number(width) }, async (_, first) => {
        const session = open(null);
        const object = key(session, label);
        for (let number = first * each; number < (first + 1) * each; number += 1) {
          const data = Buffer.from(`message ${number}`);
          pkcs11.C_SignInit(session, mechanisms.CKM_SHA256_RSA_PKCS(), object);
          const signature = await pkcs11.C_SignAsync(session, data, Buffer.alloc(1024));
          fs.writeFileSync(path.join(target, `${number}`), data);
          fs.writeFileSync(path.join(target, `${number}.signature`), signature);
        }
      }),
    );
  },

  /** The HSM's random bytes. */
  random() {
    const session = open();
    const draw = () => pkcs11.C_GenerateRandom(session, Buffer.alloc(128));
    assert(!draw().equals(draw()));
  },

  /** A wrong PIN has its code, and leaves the token usable. */
  wrong_pin() {
    assert.throws(() => open("4321"), { code: pkcs11js.CKR_PIN_INCORRECT });
    commands.random();
  },
};

async function main([name, ...parameters]) {
  pkcs11.load(process.env.M);
  pkcs11.C_Initialize();
  try {
    await commands[name](...parameters);
  } finally {
    pkcs11.C_Finalize();
  }
}

main(process.argv.slice(2));
