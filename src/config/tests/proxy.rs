//! `[slot.proxy]` and `http2`, and what they do not go with.

use super::messages::slot_refusal;
use super::*;

fn with(lines: &str) -> Config {
    load_text(&format!("{SLOT}{lines}"))
}

#[test]
fn a_proxy_is_read_with_its_user() {
    for (url, scheme, shown) in [
        ("http://Proxy:3128", ProxyScheme::Http, "http://proxy:3128"),
        ("https://proxy.example:443/", ProxyScheme::Https, "https://proxy.example:443"),
        ("socks5://10.0.0.1:1080", ProxyScheme::Socks5, "socks5://10.0.0.1:1080"),
        ("socks5h://[::1]:1", ProxyScheme::Socks5h, "socks5h://[::1]:1"),
    ] {
        let config = with(&format!("proxy.url = \"{url}\""));
        let proxy = token(&config).proxy.as_ref().unwrap();
        assert_eq!((proxy.scheme, proxy.to_string().as_str(), proxy.login.is_none()), (scheme, shown, true));
        assert!(token(&config).needs_thread());
    }
    let config = with("proxy = { url = \"http://p:1\", user = \"me\", password = \"env:PW\" }");
    let login = token(&config).proxy.as_ref().unwrap().login.as_ref().unwrap();
    assert_eq!(login.user, "me");
    assert!(matches!(&login.password, Secret::Env(name) if name == "PW"));
    let config = load_environment(&[
        ("P11REST_SLOT_0_LABEL", "a"),
        ("P11REST_SLOT_0_BACKEND", "securosys"),
        ("P11REST_SLOT_0_URLS", "https://a"),
        ("P11REST_SLOT_0_HTTP2", "true"),
        ("P11REST_SLOT_0_PROXY_URL", "socks5://p:1"),
        ("P11REST_SLOT_0_PROXY_USER", "me"),
        ("P11REST_SLOT_0_PROXY_PASSWORD", "s3cret"),
    ]);
    assert!(token(&config).http2 && token(&config).proxy.as_ref().unwrap().login.is_some());
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn what_is_no_proxy_is_refused() {
    const EXAMPLE: &str = "write it as http://host:port, https://…, socks5://… or socks5h://…";
    for (url, what) in [
        ("proxy:3128", "\"proxy:3128\" has no scheme"),
        ("ftp://proxy:21", "\"ftp://proxy:21\" is neither http, https, socks5 nor socks5h"),
        ("http://proxy", "\"http://proxy\" has no valid port"),
        ("http://proxy:0", "\"http://proxy:0\" has no valid port"),
        ("http://a..b:1", "\"http://a..b:1\" has no valid host"),
        ("http://proxy:1/pac", "\"http://proxy:1/pac\" has a path"),
        ("http://pro xy:1", "\"http://pro xy:1\" is not a URL"),
    ] {
        let message = slot_refusal(&format!("{SLOT}\nproxy.url = \"{url}\""));
        assert_eq!(message, format!("p11rest.toml:7: slot.proxy.url: {what}; {EXAMPLE}"));
    }
    for (lines, message) in [
        (
            "proxy.url = \"http://me:s3cret@proxy:1\"",
            "url: the URL has a user name or password; take it out and put credentials into slot.proxy.user and \
             slot.proxy.password",
        ),
        ("proxy.user = \"me\"", "url: is missing; write url = \"http://host:port\""),
        (
            "proxy = { url = \"http://p:1\", user = \"me\" }",
            "password: is missing; write password = \"file:/path\"",
        ),
        (
            "proxy = { url = \"http://p:1\", password = \"env:PW\" }",
            "user: is missing; write user = \"the name that the proxy knows\"",
        ),
        (
            "proxy = { url = \"http://p:1\", user = \"a:b\", password = \"env:PW\" }",
            "user: has a colon; write 1 to 255 bytes without a colon",
        ),
        (
            "proxy = { url = \"http://p:1\", user = \"me\", password = \"pin\" }",
            "password: is the PIN, which is no business of a proxy; write \"file:/path\", \"env:NAME\" or \
             \"command:…\"",
        ),
    ] {
        let line = format!("p11rest.toml:7: slot.proxy.{message}");
        assert_eq!(slot_refusal(&format!("{SLOT}\n{lines}")), line);
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let http2 = SLOT.replacen("https://a", "http://a", 1) + "\nhttp2 = true";
    assert_eq!(
        slot_refusal(&http2),
        "p11rest.toml:7: slot.http2: is agreed on within TLS, which http://a:80 does not speak; \
         write https URLs, or take it out"
    );
    for way in ["http2 = true", "proxy.url = \"http://p:1\""] {
        for (key, value) in [("tls.server_name", "hsm"), ("hedge.after", "20ms")] {
            assert_eq!(
                slot_refusal(&format!("{SLOT}\n{way}\n{key} = \"{value}\"")),
                format!(
                    "p11rest.toml:8: slot.{key}: is for direct connections with HTTP/1.1 alone; \
                     take it out, or slot.proxy and slot.http2"
                )
            );
        }
    }
}

/// Where the platform keeps its authorities can be redirected by the environment.
#[test]
fn a_set_uid_program_names_the_authorities_of_its_proxy() {
    let place = Place::new();
    let text = SLOT.replacen("https://a", "http://a", 1);
    for (scheme, usable) in [("https", false), ("http", true)] {
        place.write("etc/p11rest.toml", format!("{text}proxy.url = \"{scheme}://p:1\""));
        let config = load(None, &place.process(true, &[])).unwrap();
        assert_eq!(config.slots[0].token.is_ok(), usable);
    }
}

#[test]
fn an_application_without_threads_gets_the_other_slots() {
    let lanes = SLOT.to_owned();
    let proxied = "[[slot]]\nlabel = \"b\"\nbackend = \"securosys\"\nurls = \"https://b\"\nhttp2 = true\n";
    let mut config = load_text(&format!("{lanes}{proxied}"));
    assert!(!config.forbid_threads());
    assert_eq!(labels(&config), ["a", "-"]);
    let problem = config.slots[1].token.as_ref().unwrap_err();
    assert_eq!(problem.key(), Some("slot.http2"));
    assert!(problem.what().contains("needs a thread"), "{problem}");
    // None of them can work: that is for the application to know.
    assert!(load_text(&format!("version = 1\n{proxied}")).forbid_threads());
    assert!(load_text(&format!("version = 1\n{proxied}[[slot]]\nlabel = \"c\"")).forbid_threads());
    // But if nothing can work anyway, threads are not why.
    assert!(!load_text("version = 1\n[[slot]]\nlabel = \"c\"").forbid_threads());
    assert!(!load_text("version = 1").forbid_threads());
}
