"""A small application of PyKCS11, for pykcs11.sh: one subcommand a use of the module.

Bytes are read from and written to files, so that OpenSSL can compare them.
"""

import os
import threading
import traceback
from contextlib import contextmanager
from pathlib import Path

import PyKCS11
import subcommands
from PyKCS11 import CKA_CLASS, CKA_ID, CKA_KEY_TYPE, CKA_LABEL, CKA_MODULUS, CKA_VALUE

PIN = "1234"
TOKEN = "securosys"


def main():
    function, arguments = subcommands.chosen(COMMANDS)
    lib = PyKCS11.PyKCS11Lib()
    lib.load()
    # The threads of a process share its module.
    slots = [slot for slot in lib.getSlotList(tokenPresent=True) if lib.getTokenInfo(slot).label.strip() == TOKEN]
    assert len(slots) == 1
    function(Token(lib, slots[0]), **arguments)


class Token:
    """The token by its label."""

    def __init__(self, lib, slot):
        self.lib = lib
        self.slot = slot

    @contextmanager
    def open(self, pin=PIN):
        """A session, with a login unless there is no PIN."""
        session = self.lib.openSession(self.slot, PyKCS11.CKF_SERIAL_SESSION)
        try:
            if pin is not None:
                session.login(pin)
            yield session
        finally:
            session.closeSession()


def key(session, label, kind=PyKCS11.CKO_PRIVATE_KEY):
    """The one key of a label."""
    (found,) = session.findObjects([(CKA_CLASS, kind), (CKA_LABEL, label)])
    return found


def objects(token):
    """Class, label, id and type of every object."""
    with token.open() as session:
        for found in session.findObjects():
            kind, label, identity = session.getAttributeValue(found, [CKA_CLASS, CKA_LABEL, CKA_ID])
            about = [PyKCS11.CKO[kind], label, bytes(identity).hex()]
            if kind != PyKCS11.CKO_CERTIFICATE:
                about.append(PyKCS11.CKK[session.getAttributeValue(found, [CKA_KEY_TYPE])[0]])
            print(*about)


def before_login(token):
    """Private keys are not there without a login; public ones are."""
    with token.open(None) as session:
        assert session.findObjects([(CKA_CLASS, PyKCS11.CKO_PRIVATE_KEY)]) == []
        assert len(session.findObjects([(CKA_CLASS, PyKCS11.CKO_PUBLIC_KEY)])) == 5


def modulus(token, label):
    """The modulus of the private half, in hexadecimal."""
    with token.open() as session:
        # Of what it may not tell PyKCS11 makes None.
        private = session.getAttributeValue(key(session, label), [CKA_MODULUS, PyKCS11.CKA_PRIVATE_EXPONENT])
        assert private[1] is None
        print(bytes(private[0]).hex().upper())


def certificate(token, label, target):
    """A certificate, as it is."""
    with token.open(None) as session:
        found = key(session, label, PyKCS11.CKO_CERTIFICATE)
        Path(target).write_bytes(bytes(session.getAttributeValue(found, [CKA_VALUE])[0]))


def sign(token, label, mechanism, source, target):
    """Signs, and verifies with the token's public key. ECDSA in the form that OpenSSL reads."""
    data = Path(source).read_bytes()
    how = parse(mechanism)
    with token.open() as session:
        signature = bytes(session.sign(key(session, label), data, how))
        public = key(session, label, PyKCS11.CKO_PUBLIC_KEY)
        assert session.verify(public, data, signature, how)
        assert not session.verify(public, data[:-1] + bytes([data[-1] ^ 1]), signature, how)
    Path(target).write_bytes(sequence(signature) if "ECDSA" in mechanism else signature)


def encrypt(token, label, mechanism, source, target):
    """Encrypts with a public key, here and not at the HSM."""
    with token.open() as session:
        public = key(session, label, PyKCS11.CKO_PUBLIC_KEY)
        Path(target).write_bytes(bytes(session.encrypt(public, Path(source).read_bytes(), parse(mechanism))))


def decrypt(token, label, mechanism, source, target):
    """Decrypts with a private key."""
    with token.open() as session:
        plain = session.decrypt(key(session, label), Path(source).read_bytes(), parse(mechanism))
        Path(target).write_bytes(bytes(plain))


def digest(token, mechanism, source, target):
    """Hashes, whole and in parts."""
    data = Path(source).read_bytes()
    how = PyKCS11.Mechanism(getattr(PyKCS11, mechanism))
    with token.open(None) as session:
        whole = bytes(session.digest(data, how))
        parts = session.digestSession(how)
        parts.update(data[:3])
        parts.update(data[3:])
        assert bytes(parts.final()) == whole
        Path(target).write_bytes(whole)


def threads(token, label, width, each, target):
    """Signs in several threads, each with a session of its own: messages and signatures in files."""
    width, each, target = int(width), int(each), Path(target)
    problems = []

    def work(first):
        try:
            with token.open(None) as session:
                private = key(session, label)
                for number in range(first * each, (first + 1) * each):
                    data = f"message {number}".encode()
                    signature = session.sign(private, data, parse("CKM_ECDSA_SHA256"))
                    (target / f"{number}").write_bytes(data)
                    (target / f"{number}.signature").write_bytes(sequence(bytes(signature)))
        except Exception as problem:
            problems.append(problem)

    # They share the login of this session.
    with token.open():
        workers = [threading.Thread(target=work, args=(first,)) for first in range(width)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert not problems, problems


def random(token):
    """The HSM's random bytes."""
    with token.open() as session:
        first, second = bytes(session.generateRandom(128)), bytes(session.generateRandom(128))
        assert len(first) == len(second) == 128 and first != second


def wrong_pin(token):
    """A wrong PIN leaves the token usable."""
    try:
        with token.open("4321"):
            raise AssertionError("a wrong PIN was taken")
    except PyKCS11.PyKCS11Error as error:
        assert error.value == PyKCS11.CKR_PIN_INCORRECT, error
    random(token)


def login_again(token):
    """The login may go and come while a session stays."""
    with token.open() as session:
        session.logout()
        assert session.findObjects([(CKA_CLASS, PyKCS11.CKO_PRIVATE_KEY)]) == []
        session.login(PIN)
        session.sign(key(session, "ec-p256"), b"data", parse("CKM_ECDSA_SHA256"))


def forked_anew(token, label, source, target):
    """A child loads the module anew and logs in, while its parent has a login and a session."""

    def begin():
        token.lib.unload()
        lib = PyKCS11.PyKCS11Lib()
        lib.load()
        return Token(lib, token.slot).open()

    fork(token, begin, label, source, target)


def forked_transparently(token, label, source, target):
    """A child has its parent's login."""
    fork(token, lambda: token.open(None), label, source, target)


def fork(token, begin, label, source, target):
    """Signs in a child and then in its parent."""

    def write(session, who):
        signature = session.sign(key(session, label), Path(source).read_bytes(), parse("CKM_ECDSA_SHA256"))
        Path(f"{target}.{who}").write_bytes(sequence(bytes(signature)))

    with token.open() as session:
        key(session, label)
        child = os.fork()
        if child == 0:
            try:
                with begin() as own:
                    write(own, "child")
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        write(session, "parent")


def sequence(signature):
    """DER of an ECDSA signature: PKCS#11 has r and s side by side."""

    def integer(part):
        value = int.from_bytes(part, "big")
        content = value.to_bytes(value.bit_length() // 8 + 1, "big")
        return bytes([2, len(content)]) + content

    half = len(signature) // 2
    content = integer(signature[:half]) + integer(signature[half:])
    return bytes([0x30, len(content)]) + content


def parse(text):
    """A mechanism with its parameter, which for OAEP needs a hash: NAME:HASH."""
    name, _, size = text.partition(":")
    mechanism = getattr(PyKCS11, name)
    if name.endswith("PSS"):
        size = name[7:10]
        return PyKCS11.RSA_PSS_Mechanism(mechanism, *hash_and_mask(size), int(size) // 8)
    if name == "CKM_RSA_PKCS_OAEP":
        return PyKCS11.RSAOAEPMechanism(*hash_and_mask(size))
    return PyKCS11.Mechanism(mechanism)


def hash_and_mask(size):
    """The hash of so many bits, and the mask that is made with it."""
    return getattr(PyKCS11, f"CKM_SHA{size}"), getattr(PyKCS11, f"CKG_MGF1_SHA{size}")


COMMANDS = {
    objects: (),
    before_login: (),
    modulus: ("label",),
    certificate: ("label", "target"),
    sign: ("label", "mechanism", "source", "target"),
    encrypt: ("label", "mechanism", "source", "target"),
    decrypt: ("label", "mechanism", "source", "target"),
    digest: ("mechanism", "source", "target"),
    threads: ("label", "width", "each", "target"),
    random: (),
    wrong_pin: (),
    login_again: (),
    forked_anew: ("label", "source", "target"),
    forked_transparently: ("label", "source", "target"),
}

if __name__ == "__main__":
    main()
