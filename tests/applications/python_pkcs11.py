"""A small application of python-pkcs11, for python-pkcs11.sh: one subcommand a use of the module.

Bytes are read from and written to files, so that OpenSSL can compare them. Nothing of python-pkcs11 that needs no token
is used.
"""

import os
from pathlib import Path

import pkcs11
import subcommands
from pkcs11 import MGF, Attribute, Mechanism, ObjectClass

PIN = "1234"
TOKEN = "securosys"


def main():
    function, arguments = subcommands.chosen(COMMANDS)
    token = pkcs11.lib(os.environ["MODULE"]).get_token(token_label=TOKEN)
    function(token, **arguments)


def objects(token):
    """Class, label and id of every object, with what tells them apart."""
    with token.open(user_pin=PIN) as session:
        for found in session.get_objects():
            kind = found.object_class
            about = [kind.name, found[Attribute.LABEL], found[Attribute.ID].hex()]
            if kind == ObjectClass.CERTIFICATE:
                about.append(f"{len(found[Attribute.VALUE])} bytes")
            else:
                about.append(found.key_type.name)
            if kind == ObjectClass.PRIVATE_KEY:
                assert found[Attribute.SENSITIVE] and not found[Attribute.EXTRACTABLE]
            print(*about)


def before_login(token):
    """Private keys are not there without a login."""
    with token.open() as session:
        assert list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})) == []
        print(len(list(session.get_objects())), "objects")


def attributes(token, key, modulus):
    """Public and private half agree; what is sensitive and what does not exist is said so."""
    with token.open(user_pin=PIN) as session:
        private = session.get_key(label=key, object_class=ObjectClass.PRIVATE_KEY)
        public = session.get_key(label=key, object_class=ObjectClass.PUBLIC_KEY)
        for half in (private, public):
            assert half[Attribute.MODULUS] == bytes.fromhex(modulus)
            assert half[Attribute.PUBLIC_EXPONENT] == bytes.fromhex("010001")
        assert private[Attribute.ID] == public[Attribute.ID]
        assert public[Attribute.MODULUS_BITS] == 4 * len(modulus)
        for attribute, error in (
            (Attribute.PRIVATE_EXPONENT, pkcs11.AttributeSensitive),
            (Attribute.EC_POINT, pkcs11.AttributeTypeInvalid),
        ):
            try:
                private[attribute]
            except error:
                continue
            raise AssertionError(f"{attribute!r} of a private RSA key")


def sign(token, key, mechanism, source, target):
    """Signs, and verifies with the token's public key."""
    kind, parameter = parse(mechanism)
    data = Path(source).read_bytes()
    with token.open(user_pin=PIN) as session:
        private = session.get_key(label=key, object_class=ObjectClass.PRIVATE_KEY)
        public = session.get_key(label=key, object_class=ObjectClass.PUBLIC_KEY)
        signature = private.sign(data, mechanism=kind, mechanism_param=parameter)
        assert public.verify(data, signature, mechanism=kind, mechanism_param=parameter)
        assert not public.verify(data[:-1] + bytes([data[-1] ^ 1]), signature, mechanism=kind, mechanism_param=parameter)
        Path(target).write_bytes(signature)


def sign_in_parts(token, key, mechanism, source, target):
    """Signs a message that comes in parts."""
    kind, parameter = parse(mechanism)
    data = Path(source).read_bytes()
    parts = [data[start : start + 7] for start in range(0, len(data), 7)]
    with token.open(user_pin=PIN) as session:
        private = session.get_key(label=key, object_class=ObjectClass.PRIVATE_KEY)
        Path(target).write_bytes(private.sign(iter(parts), mechanism=kind, mechanism_param=parameter))


def encrypt(token, key, mechanism, source, target):
    """Encrypts with a public key, here and not at the HSM."""
    kind, parameter = parse(mechanism)
    with token.open(user_pin=PIN) as session:
        public = session.get_key(label=key, object_class=ObjectClass.PUBLIC_KEY)
        data = Path(source).read_bytes()
        Path(target).write_bytes(public.encrypt(data, mechanism=kind, mechanism_param=parameter))


def decrypt(token, key, mechanism, source, target):
    """Decrypts with a private or secret key; a mechanism with an IV as NAME:IV."""
    kind, parameter = parse(mechanism)
    with token.open(user_pin=PIN) as session:
        data = Path(source).read_bytes()
        secret = ObjectClass.SECRET_KEY if kind.name.startswith("AES") else ObjectClass.PRIVATE_KEY
        plain = session.get_key(label=key, object_class=secret).decrypt(data, mechanism=kind, mechanism_param=parameter)
        Path(target).write_bytes(plain)


def digest(token, mechanism, source, target):
    """Hashes, whole and in parts."""
    data = Path(source).read_bytes()
    with token.open() as session:
        whole = session.digest(data, mechanism=Mechanism[mechanism])
        assert session.digest((data[:3], data[3:]), mechanism=Mechanism[mechanism]) == whole
        Path(target).write_bytes(whole)


def random(token):
    """The HSM's random bytes."""
    with token.open(user_pin=PIN) as session:
        first, second = session.generate_random(1024), session.generate_random(1024)
        assert len(first) == len(second) == 128 and first != second


def wrong_pin(token):
    """A wrong PIN leaves the token usable."""
    try:
        token.open(user_pin="4321")
    except pkcs11.PinIncorrect:
        pass
    else:
        raise AssertionError("a wrong PIN was taken")
    random(token)


def parse(text):
    """A mechanism with its parameter: NAME, NAME:HASH for PSS and OAEP, NAME:IV for AES (in hexadecimal)."""
    name, _, rest = text.partition(":")
    mechanism = Mechanism[name]
    if not rest:
        return mechanism, None
    if name.startswith("AES"):
        return mechanism, bytes.fromhex(rest)
    hash_mechanism, mask, length = HASHES[rest]
    if name == "RSA_PKCS_OAEP":
        return mechanism, (hash_mechanism, mask, None)
    return mechanism, (hash_mechanism, mask, length)


HASHES = {
    "sha1": (Mechanism.SHA_1, MGF.SHA1, 20),
    "sha224": (Mechanism.SHA224, MGF.SHA224, 28),
    "sha256": (Mechanism.SHA256, MGF.SHA256, 32),
    "sha384": (Mechanism.SHA384, MGF.SHA384, 48),
    "sha512": (Mechanism.SHA512, MGF.SHA512, 64),
}

COMMANDS = {
    objects: (),
    before_login: (),
    attributes: ("key", "modulus"),
    sign: ("key", "mechanism", "source", "target"),
    sign_in_parts: ("key", "mechanism", "source", "target"),
    encrypt: ("key", "mechanism", "source", "target"),
    decrypt: ("key", "mechanism", "source", "target"),
    digest: ("mechanism", "source", "target"),
    random: (),
    wrong_pin: (),
}

if __name__ == "__main__":
    main()
