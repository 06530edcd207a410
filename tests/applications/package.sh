#!/bin/bash
# `make package`: made twice, installed, used from where it is installed, as a page has it, removed. dpkg, readelf and OpenSSL have
# the last word.
#
# As root it is installed on this machine, for as long as the test lasts. Otherwise, or if p11rest is installed already, below a
# folder; the test says so, and what it leaves out.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version dpkg --version
version openssl version

built=$scratch/built/package
again=$scratch/again/package
message=$work/message
head -c 5000 /dev/urandom >"$message"

# What the packages and docs/packaging.md promise.
triplet=x86_64-linux-gnu
library=/usr/lib/$triplet/pkcs11/libp11rest.so
registration=/usr/share/p11-kit/modules/p11rest.module

# pack FOLDER: into FOLDER/package. What was built is packed, whatever it was built as.
pack() {
    make -C "$root" package target="$1" MAKE='make -o tools' P11REST_MODULE="$module" P11REST_TOOL="$tool"
}

# At another time of the day, for another user, in another folder.
pack_again() {
    umask 077
    TZ=Asia/Tokyo XZ_OPT=-9 pack "${again%/package}"
    diff -r "$built" "$again"
}

sums_are_right() {
    (cd "$built" && sha256sum --check --strict SHA256SUMS)
    [ "$(wc -l <"$built/SHA256SUMS")" -eq "$(find "$built" -type f ! -name SHA256SUMS | wc -l)" ]
}

# No path of where it was built, no user, and one time.
tarball_is_neutral() {
    local list
    list=$(tar --list --verbose --numeric-owner --utc --full-time --file "$tarball")
    printf '%s\n' "$list"
    [ "$(awk '{ print $2 }' <<<"$list" | sort -u)" = 0/0 ]
    [ "$(awk '{ print $4, $5 }' <<<"$list" | sort -u | wc -l)" -eq 1 ]
    tar --list --file "$tarball" | sort --check
}

# glibc_of FILE...: the least version of glibc that has all that they ask for.
glibc_of() {
    readelf --wide --version-info "$@" | grep -o 'Name: GLIBC_[0-9.]*' | sed 's/.*_//' | sort -V | tail -n 1
}

needs_only_libraries_of_c() {
    local needed
    needed=$(readelf --wide --dynamic "$unpacked$library" | sed -n 's/.*Shared library: \[\(.*\)\]/\1/p' | sort | xargs)
    [ "$needed" = "ld-linux-x86-64.so.2 libc.so.6 libgcc_s.so.1" ] || { echo "$needed"; return 1; }
}

depends_on_what_it_needs() {
    local depends glibc
    depends=$(dpkg-deb --field "$deb" Depends)
    glibc=$(glibc_of "$unpacked$library" "$unpacked/usr/bin/p11rest")
    echo "$depends; needs glibc $glibc"
    [[ $depends =~ ^libc6\ \(\>=\ ([0-9.]+)\),\ libgcc-s1$ ]]
    dpkg --compare-versions "${BASH_REMATCH[1]}" ge "$glibc"
}

pages_tell_of_glibc() {
    local glibc told
    glibc=$(glibc_of "$unpacked$library" "$unpacked/usr/bin/p11rest")
    told=$(cat "$root/README.md" "$root/docs/packaging.md" | tr '\n' ' ' | grep -o 'glibc [0-9][0-9.]*[0-9]' | sort -u)
    echo "told: $told; needed: $glibc"
    [ "$told" = "glibc $glibc" ]
}

# stripped FILE: no symbols but those for the loader, and no lines of source.
stripped() {
    says 'no symbols' nm "$1"
    ! readelf --wide --sections "$1" | grep '\.debug_\(info\|line\)'
}

# lists_components PACKAGE FILE: the list of components is what cargo links; each has the checksum of Cargo.lock; and none is
# missing whose source the debugger's lines in the built file name.
lists_components() {
    local list=$built/$1-$version.cdx.json
    jq -e '.bomFormat == "CycloneDX" and .specVersion == "1.5" and all(.components[]; .purl and .licenses)' "$list"
    jq -r '.components[] | select(.hashes) | "\(.name) \(.version) \(.hashes[0].content)"' "$list" | sort >"$work/listed"
    awk -F'"' '$1 == "name = " { name = $2 } $1 == "version = " { version = $2 } $1 == "checksum = " { print name, version, $2 }' \
        "$root/Cargo.lock" | sort >"$work/locked"
    [ -z "$(comm -23 "$work/listed" "$work/locked")" ]
    cut -d ' ' -f 1,2 "$work/listed" >"$work/names"
    (cd "$root" && cargo tree --locked --quiet -p "$1" --edges normal --target x86_64-unknown-linux-gnu --prefix none \
        --format '{p}') | grep -v '^p11rest' | awk '{ print $1, substr($2, 2) }' | sort -u | diff - "$work/names"
    grep -a -o 'registry/src/[a-z0-9.-]*/[A-Za-z0-9_-]*-[0-9][0-9A-Za-z.+-]*' "$2" | cut -d / -f 4 | sort -u >"$work/seen"
    [ "$(wc -l <"$work/seen")" -gt 50 ]
    tr ' ' - <"$work/names" | sort | comm -13 - "$work/seen" >"$work/unlisted"
    cat "$work/unlisted"
    [ ! -s "$work/unlisted" ]
}

# A path of this machine would tell of it, and change the bytes from one to the next.
lists_are_neutral() {
    ! grep -F -e "$root" -e "$HOME/" -e /tmp/ "$built"/*.cdx.json
}

has_notices_of_all() {
    local notices=$unpacked/usr/share/doc/p11rest/third-party.txt.gz crate
    zcat "$notices" >"$work/notices"
    jq -r '.components[] | select(.hashes) | "\(.name) \(.version) ("' "$built"/*.cdx.json | sort -u | while IFS= read -r crate; do
        grep -q -F "$crate" "$work/notices" || { echo "$crate"; return 1; }
    done
    grep -q 'Permission is hereby granted, free of charge' "$work/notices"
}

# The machine itself, or a folder that looks like one. Sets $prefix, and the options of dpkg.
choose_place() {
    place=()
    prefix=
    if [ "$(id -u)" -ne 0 ]; then
        echo "note    package: not root, so below a folder, without asking p11-kit for the module"
    elif dpkg-query --status p11rest >/dev/null 2>&1; then
        echo "note    package: p11rest is installed already, so this one below a folder, without asking p11-kit for the module"
    else
        return 0
    fi
    prefix=$scratch/root
    mkdir -p "$prefix/var/lib/dpkg/updates" "$prefix/var/lib/dpkg/info"
    touch "$prefix/var/lib/dpkg/status" "$prefix/var/lib/dpkg/available"
    # Nothing that it depends on is installed there.
    place=(--root="$prefix" --force-not-root --force-depends --log=/dev/null)
}

# Some machines leave documents out.
package_manager() {
    PATH=$PATH:/usr/sbin:/sbin dpkg "${place[@]}" --path-include='/usr/share/*' "$@"
}

# What is there of what packages fill, of their folders in /var/lib, and everywhere what has our name; but for dpkg's own records,
# what Python compiles, and where tests work. Files of others may vanish meanwhile.
files_there() {
    { find "$prefix"/ "$prefix"/usr "$prefix"/var -xdev '(' -path "$prefix/var/lib/dpkg" -o -path "$prefix/var/lib/apt" \
        -o -name __pycache__ -o -path /tmp -o -path "$root" -o -path "$scratch" ')' -prune \
        -o '(' -path "$prefix/usr/*" -o -path "$prefix/etc/*" -o -path "$prefix/var/lib/*" ! -path "$prefix/var/lib/*/*/*" \
        -o -name '*p11rest*' ')' -print 2>/dev/null || true; } | sort -u
}

installs() {
    package_manager --install "$deb"
    files_there | comm -13 "$work/before" - | sed "s|^$prefix||" >"$work/new"
    dpkg-deb --fsys-tarfile "$deb" | tar --list | sed -e 's|^\.||' -e 's|/$||' | sort | comm -13 - "$work/new" >"$work/others"
    cat "$work/others"
    [ ! -s "$work/others" ]
    grep -qx "$library" "$work/new"
    # `dpkg --verify` needs sums of files, which cargo-deb does not pack.
    (cd "$unpacked" && find . -type f) | while IFS= read -r path; do
        cmp "$unpacked/$path" "$prefix/$path"
        [ "$(stat -c '%a %U' "$unpacked/$path")" = "$(stat -c '%a %U' "$prefix/$path")" ]
    done
    for path in "$library" "$registration" /usr/bin/p11rest /usr/include/p11rest.h /usr/share/doc/p11rest/{copyright,README.md}; do
        [ -f "$prefix$path" ]
    done
}

has_documents() {
    local doc=$prefix/usr/share/doc/p11rest
    zcat "$doc/changelog.gz" | cmp - "$root/CHANGELOG.md"
    zcat "$doc/changelog.Debian.gz" >"$work/changelog"
    [ "$(dpkg-parsechangelog --file "$work/changelog" --show-field Version)" = "$version-1" ]
    diff -r "$root/docs" "$doc/docs"
    mkdir "$work/examples"
    cp "$root"/pkcs11-test-config/* "$root"/examples/* "$work/examples"
    diff -r "$work/examples" "$doc/examples"
    # It is run by its name, in the tarball too; the others are read.
    for folder in "$doc/examples" "$untarred/share/doc/p11rest/examples"; do
        [ "$(find "$folder" -type f -perm /111 -printf '%m %f\n')" = "755 xmlsec-sign.py" ]
    done
    # As docs/applications/rust.md names it.
    cmp "$doc/examples/../examples/sign.rs" "$root/examples/sign.rs"
}

has_manuals_and_completion() {
    local share=$prefix/usr/share
    mkdir "$work/man"
    "$tool" man --out "$work/man"
    zcat "$share/man/man1/p11rest.1.gz" | cmp - "$work/man/p11rest.1"
    zcat "$share/man/man5/p11rest.toml.5.gz" | cmp - "$work/man/p11rest.toml.5"
    "$tool" completion zsh | cmp - "$share/zsh/vendor-completions/_p11rest"
    "$tool" completion fish | cmp - "$share/fish/vendor_completions.d/p11rest.fish"
    says ' p11rest$' bash -c ". '$share/bash-completion/completions/p11rest' && complete -p p11rest"
}

# finds_module PROGRAM: the installed tool finds the module that was installed with it.
finds_module() {
    says "^[0-9]* *$token " "$1" list
}

signs() {
    local id
    id=$(pkcs11-tool --module "$1" --list-objects --type pubkey | awk '$1 == "label:" { found = $2 == "ec-p256" } $1 == "ID:" && found { print $2; exit }')
    pkcs11-tool --module "$1" --login --pin "$pin" --sign -m ECDSA-SHA256 --signature-format openssl --id "$id" -i "$message" \
        -o "$work/signature"
    openssl dgst -sha256 -verify "$work/ec-p256.pub" -signature "$work/signature" "$message"
}

# Its .module file has no folder: that of p11-kit is the one that the package fills.
is_registered() {
    if [ -z "$prefix" ]; then
        says '^p11rest: libp11rest.so$' p11-kit list-modules
        says "^    token: $token$" p11-kit list-modules
    else
        grep '^module: libp11rest.so$' "$prefix$registration"
    fi
}

# The page that was installed, with a ready file that was installed, where docs/packaging.md says that they are.
follows_a_page() {
    local root=$prefix/usr/share/doc/p11rest heading
    eval "$(sed -n '/^export M=.* F=/p' "$root/docs/packaging.md" | head -n 1)"
    M=$prefix$M F=$prefix$F
    [ "$M" = "$prefix$library" ]
    cd "$work"
    configure_for_engine openssl
    for heading in "The PIN" "The engine: its configuration" "The engine: signing a file"; do
        follow openssl "$heading"
    done
    cmp rsa-2048.pem rsa-2048.pub
}

header_compiles() {
    printf '#define CKA_VENDOR_DEFINED 0x80000000UL\n#include <p11rest.h>\nunsigned long name = CKA_P11REST_KEY_NAME;\n' |
        cc -isystem "$prefix/usr/include" -Wall -Werror -c -x c -o /dev/null -
}

leaves_nothing() {
    package_manager --purge p11rest
    installed=
    files_there | diff "$work/before" -
    if package_manager --status p11rest; then return 1; fi
}

# Whatever happens, the machine is as it was.
leave() {
    local status=$?
    set +e
    [ -z "${installed-}" ] || package_manager --purge p11rest
    (exit "$status")
    clean_up
}
trap leave EXIT

check "make package" pack "${built%/package}"
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
deb=$built/p11rest_$version-1_amd64.deb
tarball=$built/p11rest-$version-$triplet.tar.gz
unpacked=$scratch/unpacked
dpkg-deb --extract "$deb" "$unpacked"
tar --extract --file "$tarball" --directory "$scratch"
untarred=$scratch/p11rest-$version-$triplet

check "packs the same bytes again" pack_again
check "SHA256SUMS" sums_are_right
check "tarball: one owner, one time, sorted" tarball_is_neutral
check "tarball and Debian package have the same module" cmp "$unpacked$library" "$untarred/lib/libp11rest.so"
check "module: needs libc, libgcc_s and the loader" needs_only_libraries_of_c
check "package: depends on these" depends_on_what_it_needs
check "README and docs/packaging.md: the version of glibc" pages_tell_of_glibc
check "module: stripped" stripped "$unpacked$library"
check "tool: stripped" stripped "$unpacked/usr/bin/p11rest"
check "components of the module" lists_components p11rest "$module"
check "components of the tool" lists_components p11rest-cli "$tool"
check "components: no path of this machine" lists_are_neutral
check "the licences of all components" has_notices_of_all

choose_place
files_there >"$work/before"
installed=yes
check "dpkg --install" installs
check "documents, examples and changes" has_documents
check "manual pages and completion" has_manuals_and_completion
check "p11rest --version" says "^p11rest $version$" "$prefix/usr/bin/p11rest" --version
tool=$prefix/usr/bin/p11rest
start_emulator tls
check "p11rest finds the installed module" finds_module "$tool"
check "pkcs11-tool signs with the installed module" signs "$prefix$library"
check "p11-kit knows the installed module" is_registered
check "docs/applications/openssl.md of the package, with its ready file" follows_a_page
check "p11rest.h" header_compiles
check "dpkg --purge leaves nothing" leaves_nothing
installed=
check "pkcs11-tool signs with the module of the tarball" signs "$untarred/lib/libp11rest.so"
check "p11rest of the tarball finds that module" finds_module "$untarred/bin/p11rest"

finish
