"use strict";
// A small application of graphene-pk11, for node.sh: one subcommand a use of the module.

const assert = require("node:assert");
const fs = require("node:fs");
const graphene = require("graphene-pk11");

const PIN = "1234";
const TOKEN = "securosys";
const { ObjectClass } = graphene;

const mechanisms = {
  SHA256_RSA_PKCS: "SHA256_RSA_PKCS",
  SHA256_RSA_PKCS_PSS: {
    name: "SHA256_RSA_PKCS_PSS",
    params: new graphene.RsaPssParams(graphene.MechanismEnum.SHA256, graphene.RsaMgf.MGF1_SHA256, 32),
  },
  ECDSA_SHA384: "ECDSA_SHA384",
  RSA_PKCS_OAEP: {
    name: "RSA_PKCS_OAEP",
    params: new graphene.RsaOaepParams(graphene.MechanismEnum.SHA256, graphene.RsaMgf.MGF1_SHA256),
  },
};

/** The one key of a label. */
function key(session, label, kind = ObjectClass.PRIVATE_KEY) {
  const found = session.find({ class: kind, label });
  assert.strictEqual(found.length, 1);
  return found.items(0).toType();
}

const commands = {
  /** Class and label of every object; what graphene makes of them has the right attributes. */
  objects(session) {
    const all = session.find();
    for (let index = 0; index < all.length; index += 1) {
      const object = all.items(index);
      console.log(ObjectClass[object.class], object.toType().label);
    }
    const { sensitive, extractable, type } = key(session, "rsa-2048");
    assert.deepStrictEqual([sensitive, extractable, type], [true, false, graphene.KeyType.RSA]);
  },

  /** Signs whole and in parts; both are verified by the module as well. */
  sign(session, label, name, source, target) {
    const data = fs.readFileSync(source);
    const mechanism = mechanisms[name];
    const whole = session.createSign(mechanism, key(session, label)).once(data);
    const sign = session.createSign(mechanism, key(session, label));
    for (let start = 0; start < data.length; start += 7) sign.update(data.subarray(start, start + 7));
    const parts = sign.final();
    const verify = (data, signature) =>
      session.createVerify(mechanism, key(session, label, ObjectClass.PUBLIC_KEY)).once(data, signature);
    assert(verify(data, whole) && verify(data, parts));
    assert(!verify(data.subarray(1), parts));
    fs.writeFileSync(target, whole);
    fs.writeFileSync(`${target}.parts`, parts);
  },

  /** Decrypts, and encrypts again with the public key. */
  decrypt(session, label, name, source, target) {
    const cipher = fs.readFileSync(source);
    const plain = session.createDecipher(mechanisms[name], key(session, label)).once(cipher, Buffer.alloc(1024));
    fs.writeFileSync(target, plain);
    const again = session.createCipher(mechanisms[name], key(session, label, ObjectClass.PUBLIC_KEY));
    fs.writeFileSync(`${target}.cipher`, again.once(plain, Buffer.alloc(1024)));
  },

  /** Hashes. */
  digest(session, name, source, target) {
    fs.writeFileSync(target, session.createDigest(name).once(fs.readFileSync(source)));
  },
};

function main([name, ...parameters]) {
  const module = graphene.Module.load(process.env.M, "p11rest");
  module.initialize();
  try {
    const slots = module.getSlots(true);
    const slot = Array.from({ length: slots.length }, (_, index) => slots.items(index)).find(
      (slot) => slot.getToken().label.trim() === TOKEN,
    );
    const session = slot.open();
    session.login(PIN);
    commands[name](session, ...parameters);
    session.logout();
    session.close();
  } finally {
    module.finalize();
  }
}

main(process.argv.slice(2));
