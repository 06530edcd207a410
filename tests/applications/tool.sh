#!/bin/bash
# The tool as `make install` installs it: it finds its module, docs/tool.md goes from nothing to a signature with it, shells
# complete, and nothing is left of it in the end. OpenSSL has the last word.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version "$tool" --version
version openssl version

start_emulator tls
message=$work/contract.pdf
head -c 5000 /dev/urandom >"$message"
cd "$work"
prefix=$scratch/prefix

# What was built is installed, whatever it was built as.
make_it() {
    make -s -C "$root" -o all P11REST_MODULE="$module" P11REST_TOOL="$tool" PREFIX="$prefix" DESTDIR= "$1"
}

installs() {
    make_it install
    (cd "$prefix" && find . -type f | sort) >installed
    cat installed
    diff - installed <<'END'
./bin/p11rest
./include/p11rest.h
./lib/libp11rest.so
./share/bash-completion/completions/p11rest
./share/fish/vendor_completions.d/p11rest.fish
./share/man/man1/p11rest.1
./share/man/man5/p11rest.toml.5
./share/zsh/site-functions/_p11rest
END
}

# The page, but for `init`, which is told where the emulator is.
from_nothing_to_a_signature() {
    local commands
    unset P11REST_CONFIG
    export HOME=$scratch/home PATH=$prefix/bin:$PATH P11REST_PIN=$pin
    p11rest init --vendor securosys --url "$(cat "$hsm/ready")" --label payments --ca "$hsm/ca.pem" \
        --set auth.api_key.key_management=file:"$hsm/key-management.key" --set auth.api_key.key_operation=pin
    p11rest generate --key payments --type rsa-2048
    commands=$(sed -n '/^## From nothing/,/^## /{/^p11rest\|^openssl/p}' "$root/docs/tool.md")
    [ "$(wc -l <<<"$commands")" -eq 7 ]
    bash -euxo pipefail -c "${commands#p11rest init*$'\n'}" >said
    cat said
    grep -q '^verified: by "payments"' said
    grep -q '^Verified OK$' said
    p11rest delete --key payments --for-ever
}

completes() {
    . "$prefix/share/bash-completion/completions/p11rest"
    COMP_WORDS=(p11rest sig) COMP_CWORD=1
    _p11rest p11rest sig p11rest
    [ "${COMPREPLY[*]}" = sign ]
}

# zsh knows whose the script is by its first line, and reads all of it when it is loaded. -u: the folder may be of another user.
completes_in_zsh() {
    local script=$prefix/share/zsh/site-functions/_p11rest
    zsh -n "$script"
    says '^_p11rest$' env HOME="$work" zsh -f -c 'fpath=("$1" $fpath); autoload -U compinit && compinit -u -D && print -r -- $_comps[p11rest]
        autoload +X _p11rest' zsh "${script%/*}"
}

completes_in_fish() {
    local script=$prefix/share/fish/vendor_completions.d/p11rest.fish
    fish --no-execute "$script"
    HOME=$work fish --no-config -c 'source $argv[1]; complete --do-complete "p11rest sig"' "$script" >completed
    cat completed
    [ "$(cut -f 1 completed)" = sign ]
}

uninstalls() {
    make_it uninstall
    [ -z "$(find "$prefix" -type f)" ]
}

check "make install" installs
check "docs/tool.md, from nothing to a signature" from_nothing_to_a_signature
check "bash completes" completes
check "zsh reads its script" completes_in_zsh
check "fish completes" completes_in_fish
check "make uninstall" uninstalls
finish
