// Signs with a key of the HSM, by graphene-pk11: docs/applications/node.md.
//
// PIN=… node node-sign.js MODULE TOKEN KEY <DATA >SIGNATURE
//
// Without PIN it does not log in, for slots that need none.
const fs = require("node:fs");
const graphene = require("graphene-pk11");

const [path, token, label] = process.argv.slice(2);
const module_ = graphene.Module.load(path, "p11rest");
module_.initialize();
const slots = module_.getSlots(true);
const slot = [...Array(slots.length).keys()]
  .map((index) => slots.items(index))
  .find((slot) => slot.getToken().label.trim() === token);
const session = slot.open();
if (process.env.PIN) session.login(process.env.PIN);
const key = session.find({ class: graphene.ObjectClass.PRIVATE_KEY, label }).items(0).toType();
// With an EC key r and s are side by side: crypto.verify takes that with dsaEncoding: "ieee-p1363".
const mechanism = key.type === graphene.KeyType.RSA ? "SHA256_RSA_PKCS" : "ECDSA_SHA256";
fs.writeSync(1, session.createSign(mechanism, key).once(fs.readFileSync(0)));
session.close();
module_.finalize();
