"""Signs with a key of the HSM, by python-pkcs11: docs/applications/python.md.

PIN=… python python-sign.py MODULE TOKEN KEY <DATA >SIGNATURE

Without PIN it does not log in, for slots that need none.
"""

import os
import sys

import pkcs11
from pkcs11 import KeyType, Mechanism, ObjectClass
from pkcs11.util.ec import encode_ecdsa_signature

module, token, label = sys.argv[1:]
token = pkcs11.lib(module).get_token(token_label=token)
with token.open(user_pin=os.environ.get("PIN")) as session:
    key = session.get_key(label=label, object_class=ObjectClass.PRIVATE_KEY)
    data = sys.stdin.buffer.read()
    if key.key_type == KeyType.RSA:
        signature = key.sign(data, mechanism=Mechanism.SHA256_RSA_PKCS)
    else:
        # Of PKCS#11 it is r and s side by side; so it is what OpenSSL and X.509 have.
        signature = encode_ecdsa_signature(key.sign(data, mechanism=Mechanism.ECDSA_SHA256))
sys.stdout.buffer.write(signature)
