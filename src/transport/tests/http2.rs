//! A server of HTTP/2 over TLS, to be refused by and to count with.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h2::{Reason, server};
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use crate::config;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// 200 and `ok`.
    Answer,
    /// The stream is refused (RST_STREAM with REFUSED_STREAM).
    Refuse,
    /// The connection says that it is over, and is.
    GoAway,
}

pub struct Http2 {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Http2 {
    pub fn start(mut config: ServerConfig, fate: Fate) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, connections) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let http2 = Self { address, requests: Arc::clone(&requests), connections: Arc::clone(&connections) };
        let acceptor = TlsAcceptor::from(Arc::new(config));
        std::thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, requests) = (acceptor.clone(), Arc::clone(&requests));
                std::thread::spawn(move || {
                    tcp.set_nonblocking(true).unwrap();
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
                    runtime.block_on(async {
                        let tcp = tokio::net::TcpStream::from_std(tcp).unwrap();
                        let Ok(tls) = acceptor.accept(tcp).await else { return };
                        let Ok(mut connection) = server::handshake(tls).await else { return };
                        while let Some(Ok((request, mut respond))) = connection.accept().await {
                            requests.fetch_add(1, Ordering::SeqCst);
                            assert_eq!(request.version(), http::Version::HTTP_2);
                            match fate {
                                Fate::Answer => {
                                    let mut body =
                                        respond.send_response(http::Response::new(()), false).unwrap();
                                    body.send_data("ok".into(), true).unwrap();
                                }
                                Fate::Refuse => respond.send_reset(Reason::REFUSED_STREAM),
                                Fate::GoAway => connection.abrupt_shutdown(Reason::NO_ERROR),
                            }
                        }
                    });
                });
            }
        });
        http2
    }

    pub fn url(&self) -> config::Url {
        let port = self.address.port();
        config::Url { tls: true, host: "localhost".to_owned(), port, path: String::new() }
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}
