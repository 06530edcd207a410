//! A client of reqwest and its thread: what it is made of, how it is born and how it ends.

use std::mem;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use reqwest::redirect::Policy;
use reqwest::{Proxy, blocking, retry};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::config::{self, ProxyScheme};
use crate::transport::tls::{self, Access, Tls};
use crate::transport::{Error, ErrorKind};

/// How long the end of a client is waited for. Its thread may be looking up a name, which nothing can hurry.
const GRACE: Duration = Duration::from_secs(1);
/// How long an HTTP/2 connection may be silent while a request waits, before it is asked whether it lives.
const SILENCE: Duration = Duration::from_secs(10);

/// What the members of one service have in common.
pub(super) struct Route {
    /// The proxy for messages, if there is one.
    pub proxy: Option<String>,
    /// Whether the proxy speaks HTTP, so that it may answer itself.
    pub proxy_answers: bool,
    /// The name that the certificate of the proxy must have, if it speaks TLS.
    pub proxy_name: Option<ServerName<'static>>,
    /// TLS to members and proxy.
    pub names: config::Tls,
}

impl Route {
    /// # Errors
    /// [`ErrorKind::Tls`] where the proxy has a name that no certificate can have.
    pub fn new(token: &config::Token) -> Result<Self, Error> {
        let proxy = token.proxy.as_ref();
        let secured = proxy.filter(|proxy| proxy.scheme == ProxyScheme::Https);
        Ok(Self {
            proxy: proxy.map(config::Proxy::to_string),
            proxy_answers: proxy
                .is_some_and(|proxy| matches!(proxy.scheme, ProxyScheme::Http | ProxyScheme::Https)),
            proxy_name: secured.map(|proxy| tls::server_name(&token.tls, &proxy.host)).transpose()?,
            names: token.tls.clone(),
        })
    }
}

/// What a client is made of.
pub(super) struct Recipe {
    /// If a member or the proxy speaks it.
    tls: Option<Tls>,
    proxy: Option<(String, Option<Login>)>,
    connect: Duration,
    pool: config::Pool,
    http2: bool,
}

struct Login {
    user: String,
    password: config::Secret,
}

impl Recipe {
    /// Reads the files of TLS.
    ///
    /// # Errors
    /// Those of [`Tls::new`].
    pub fn new(token: &config::Token, route: &Route) -> Result<Self, Error> {
        let secured = token.members.iter().flatten().any(|url| url.tls) || route.proxy_name.is_some();
        let tls = if secured { Some(Tls::new(&token.tls)?) } else { None };
        let members = u32::try_from(token.members.iter().flatten().count().max(1)).unwrap_or(u32::MAX);
        let login =
            |login: &config::ProxyLogin| Login { user: login.user.clone(), password: login.password.clone() };
        Ok(Self {
            tls,
            proxy: token.proxy.as_ref().map(|proxy| (proxy.to_string(), proxy.login.as_ref().map(login))),
            // So that every member gets its turn.
            connect: token.timeouts.connect.min(token.timeouts.call / members),
            pool: token.pool,
            http2: token.http2,
        })
    }

    /// How long idle connections are kept by the configuration.
    pub fn idle(&self) -> Duration {
        self.pool.idle
    }

    /// How long a connection may take to be made.
    pub fn connect(&self) -> Duration {
        self.connect
    }

    /// What is wrong with the client certificate although it can be used.
    pub fn warning(&self) -> Option<String> {
        self.tls.as_ref().and_then(Tls::warning)
    }

    /// Whether the client was made with the client certificate as it is now.
    pub fn is_of_today(&self, client: &Client) -> bool {
        match (&self.tls, &client.access) {
            (Some(tls), Some(access)) => Arc::ptr_eq(&tls.access(), access),
            _ => true,
        }
    }

    /// A client with its thread, and without a connection. Reads the password of the proxy.
    ///
    /// # Errors
    /// [`ErrorKind::Connect`] where the password cannot be read or the thread cannot be made.
    pub fn make(&self, idle: Duration) -> Result<Client, Error> {
        let access = self.tls.as_ref().map(Tls::access);
        let mut tls = match &access {
            Some(access) => access.config.as_ref().clone(),
            None => without_authorities()?,
        };
        if self.http2 {
            tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        let builder = blocking::Client::builder()
            .no_proxy() // nor what the environment says
            .tls_backend_preconfigured(tls)
            .redirect(Policy::none())
            .referer(false)
            .retry(retry::never())
            .timeout(None) // each request brings its own
            .connect_timeout(self.connect)
            .tcp_nodelay(true)
            .pool_idle_timeout(idle)
            .pool_max_idle_per_host(self.pool.max)
            .http2_keep_alive_interval(SILENCE)
            .http2_keep_alive_timeout(self.connect);
        let builder = if self.http2 { builder } else { builder.http1_only() };
        let builder = match &self.proxy {
            Some((url, login)) => builder.proxy(proxy(url, login.as_ref())?),
            None => builder,
        };
        let built = with_signals_blocked(|| builder.build()).map_err(|error| refuse(&error))?;
        built.map(|client| Client { inner: Some(client), access }).map_err(|error| refuse(&error))
    }
}

fn refuse(error: &dyn std::error::Error) -> Error {
    Error::unsent(ErrorKind::Connect, format!("the client for proxies and HTTP/2 cannot be made: {error}"))
}

/// For connections without TLS. reqwest would have a configuration of its own, from a provider that there is not.
fn without_authorities() -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::unsent(ErrorKind::Tls, error.to_string()))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn proxy(url: &str, login: Option<&Login>) -> Result<Proxy, Error> {
    let proxy = Proxy::all(url).map_err(|error| refuse(&error))?;
    let Some(login) = login else { return Ok(proxy) };
    let password = login.password.read().map_err(|problem| {
        Error::unsent(ErrorKind::Connect, format!("the password of the proxy {url}: {problem}"))
    })?;
    // reqwest puts both into a URL and takes them out again: a % would be taken for the begin of an escape.
    let escaped = |text: &str| Zeroizing::new(text.replace('%', "%25"));
    Ok(proxy.basic_auth(&escaped(&login.user), &escaped(password.expose_secret())))
}

/// A client.
pub(super) struct Client {
    /// `None` once it has ended.
    inner: Option<blocking::Client>,
    /// How it introduces itself over TLS.
    access: Option<Arc<Access>>,
}

impl Client {
    /// What requests are made with.
    pub fn get(&self) -> Option<&blocking::Client> {
        self.inner.as_ref()
    }

    /// Why TLS failed with a server that must have a certificate for `name`.
    pub fn explain(&self, error: &rustls::Error, name: &ServerName<'_>) -> String {
        let refusal = self.access.as_ref().and_then(|access| tls::explain_refusal(error, access));
        refusal.unwrap_or_else(|| tls::explain(error, name))
    }
}

/// reqwest's own end waits for its thread, for ever if need be. Here a helper does that, and who takes longer than
/// [`GRACE`], or has no helper, is left to himself: the library stays mapped. Nothing here needs the variables of the
/// calling thread, which are gone in exit handlers.
impl Drop for Client {
    fn drop(&mut self) {
        let Some(client) = self.inner.take() else { return };
        let (give, taken) = mpsc::channel::<blocking::Client>();
        let birth = || {
            let farewell = move || drop(taken.recv());
            thread::Builder::new().name("p11rest-farewell".to_owned()).spawn(farewell)
        };
        let Ok(Ok(helper)) = with_signals_blocked(birth) else { return mem::forget(client) };
        if let Err(kept) = give.send(client) {
            mem::forget(kept);
        }
        let limit = Instant::now() + GRACE;
        while !helper.is_finished() {
            if Instant::now() >= limit {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let _ = helper.join(); // it has nothing to tell
    }
}

/// Does what makes a thread, which inherits the mask: with all signals blocked. So no handler of the host runs on a
/// thread that it does not know, and a write to a closed connection does not end the process (SIGPIPE). The calling
/// thread has its own mask again afterwards.
///
/// # Errors
/// That of `pthread_sigmask`; then nothing was done.
pub(super) fn with_signals_blocked<T>(birth: impl FnOnce() -> T) -> nix::Result<T> {
    let mut blocked = SigSet::all();
    for fault in [Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL, Signal::SIGSEGV] {
        blocked.remove(fault); // those cannot wait
    }
    let _restored = Mask(blocked.thread_swap_mask(SigmaskHow::SIG_SETMASK)?);
    Ok(birth())
}

/// The mask to be restored, also after a panic.
struct Mask(SigSet);

impl Drop for Mask {
    fn drop(&mut self) {
        let _ = self.0.thread_set_mask(); // it was set before, so it is valid
    }
}
