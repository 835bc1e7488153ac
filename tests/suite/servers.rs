//! Real servers: nginx with ranges, without, with TLS; rsync; an S3 server (moto, from PyPI). What is not installed is skipped.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::scene::{Said, Scene, installed, said, same_tree, tool};

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(mut command: Command, port: u16) -> Running {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut running = Running(child);
    for _ in 0..600 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return running;
        }
        assert!(running.0.try_wait().unwrap().is_none(), "{command:?} ended");
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{command:?} does not listen");
}

/// A stage with an archive in `library` that holds articles, made by the binary.
fn library() -> Scene {
    let scene = Scene::with_key();
    scene.articles();
    scene.expect(0, &["init", "--origin", "example.org/library", "--no-passphrase", "library"]);
    scene.expect(0, &["pack", "--quiet", "--into", "library", "in"]);
    scene
}

/// nginx over the stage's folder: with ranges, without, and with TLS, on three ports.
fn nginx(scene: &Scene) -> (Running, [u16; 3]) {
    let ports = [free_port(), free_port(), free_port()];
    let root = scene.folder.path().display();
    tool(
        scene.folder.path(),
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            "tls.key",
            "-out",
            "tls.crt",
        ],
    );
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {root}/nginx;\n"))
        .concat();
    let user = if tool(scene.folder.path(), "id", &["-u"]).trim() == "0" { "user root;\n" } else { "" };
    let [plain, unranged, tls] = ports;
    scene.write(
        "nginx/nginx.conf",
        format!(
            "{user}daemon off; worker_processes 1; pid {root}/nginx/pid; error_log {root}/nginx/error;
             events {{ worker_connections 64; }}
             http {{ access_log off; {temp}
               server {{ listen 127.0.0.1:{plain}; root {root}; }}
               server {{ listen 127.0.0.1:{unranged}; root {root}; max_ranges 0; }}
               server {{ listen 127.0.0.1:{tls} ssl; ssl_certificate {root}/tls.crt; ssl_certificate_key {root}/tls.key; root {root}; }}
             }}"
        ),
    );
    let mut command = Command::new("nginx");
    command.arg("-c").arg(scene.path("nginx/nginx.conf"));
    (start(command, tls), ports)
}

#[test]
fn nginx_is_an_origin_with_ranges_without_and_with_tls() {
    if !["nginx", "openssl"].into_iter().all(installed) {
        return;
    }
    let scene = library();
    let (_nginx, [plain, unranged, tls]) = nginx(&scene);
    for (mirror, url) in [("m1", format!("http://127.0.0.1:{plain}")), ("m2", format!("http://127.0.0.1:{unranged}"))] {
        scene.expect(0, &["sync", &format!("{url}/library"), mirror]);
        same_tree(&scene.path("library/bundles"), &scene.path(mirror).join("bundles"));
        scene.expect(0, &["verify", mirror]);
    }
    let url = format!("https://localhost:{tls}/library");
    let refused = scene.expect(2, &["sync", &url, "m3"]);
    assert!(refused.stderr.contains("certificate"), "a stranger's certificate: {}", refused.stderr);
    let mut trusting = scene.command(&["sync", &url, "m3"]);
    let synced = said(trusting.env("SSL_CERT_FILE", scene.path("tls.crt")).output().unwrap());
    assert_eq!(synced.code, 0, "{}", synced.stderr);
    scene.expect(0, &["verify", "m3"]);
}

#[test]
fn an_archive_is_read_by_its_url() {
    if !["nginx", "openssl"].into_iter().all(installed) {
        return;
    }
    let scene = library();
    let (_nginx, [plain, unranged, _]) = nginx(&scene);
    let run = |args: &[&str]| -> Said {
        let mut command = scene.command(args);
        said(command.env("VELLUM_CACHE", scene.path("cache")).output().unwrap())
    };
    let url = format!("http://127.0.0.1:{plain}/library");
    for args in [
        vec!["list", &url],
        vec!["list", &url, "--below", "in/essays"],
        vec!["show", &url, "in/essays/tides"],
        vec!["cat", &url, "in/essays/tides/tides.md"],
        vec!["history", &url, "letter-1"],
        vec!["verify", &url, "--article", "letter-1"],
    ] {
        let local: Vec<&str> = args.iter().map(|arg| if *arg == url { "library" } else { arg }).collect();
        let (remote, local) = (run(&args), run(&local));
        assert_eq!((remote.code, &remote.stdout), (0, &local.stdout), "{args:?} {}", remote.stderr);
    }
    // The words of documents would cost all of the archive: over a network a search finds metadata.
    assert!(run(&["search", &url, "tides"]).stdout.starts_with("in/essays/tides\n"));
    assert_eq!(run(&["verify", &url]).code, 0);
    assert_eq!(run(&["extract", &url, "--article", "letter-1", "--to", "out"]).code, 0);
    assert!(
        scene.path("out/in/letters/first/letter.html").exists() || scene.path("out/letters/first/letter.html").exists()
    );
    // What was withdrawn is gone for those who read by URL too.
    scene.expect(0, &["withdraw", "library", "letter-1", "--reason", "a test"]);
    assert_eq!(run(&["cat", &url, "letter-1"]).code, 1);
    assert_eq!(run(&["cat", &url, "in/essays/tides/tides.md"]).code, 0);
    let unranged = run(&["cat", &format!("http://127.0.0.1:{unranged}/library"), "in/essays/tides/tides.md"]);
    assert!(unranged.code == 2 && unranged.stderr.contains("does not serve ranges"), "{}", unranged.stderr);
}

#[test]
fn what_rsync_copies_is_an_origin_and_an_archive() {
    if !installed("rsync") {
        return;
    }
    let scene = library();
    tool(scene.folder.path(), "rsync", &["-a", "--exclude", ".vellum", "library/", "copy/"]);
    scene.expect(0, &["verify", "copy"]);
    scene.expect(0, &["sync", "copy", "mirror"]);
    scene.expect(0, &["verify", "mirror"]);
}

/// The S3 server, and how to reach it.
fn s3(scene: &Scene) -> (Running, String) {
    let port = free_port();
    let mut command = Command::new("moto_server");
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).current_dir(scene.folder.path());
    let running = start(command, port);
    let url = format!("http://127.0.0.1:{port}");
    tool(scene.folder.path(), "curl", &["-sf", "-X", "PUT", &format!("{url}/bucket")]);
    (running, url)
}

fn with_s3(scene: &Scene, url: &str, args: &[&str]) -> Command {
    let mut command = scene.command(args);
    command.env("AWS_ENDPOINT_URL", url).env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "secret");
    command.env("VELLUM_CACHE", scene.path("cache"));
    command
}

#[test]
fn an_archive_is_pushed_to_a_bucket_read_there_and_synced_from_it() {
    if !["moto_server", "curl"].into_iter().all(installed) {
        return;
    }
    let scene = library();
    let (_s3, url) = s3(&scene);
    let run = |args: &[&str]| said(with_s3(&scene, &url, args).output().unwrap());
    let ok = |args: &[&str]| {
        let said = run(args);
        assert_eq!(said.code, 0, "{args:?}\n{}\n{}", said.stdout, said.stderr);
        said
    };
    ok(&["push", "library", "s3://bucket/library"]);
    assert!(ok(&["push", "library", "s3://bucket/library"]).stdout.contains("0 bundles"));
    assert_eq!(ok(&["list", "s3://bucket/library"]).stdout, ok(&["list", "library"]).stdout);
    assert_eq!(
        ok(&["cat", "s3://bucket/library", "in/essays/tides/tides.md"]).stdout,
        "# On tides\n\nThe sea comes twice a day.\n"
    );
    ok(&["verify", "s3://bucket/library"]);
    ok(&["sync", "s3://bucket/library", "mirror"]);
    ok(&["verify", "mirror"]);
    ok(&["withdraw", "library", "letter-1", "--reason", "a test"]);
    scene.write("in/notes/new.txt", "new\n");
    ok(&["pack", "--into", "library", "in"]);
    ok(&["push", "library", "s3://bucket/library"]);
    ok(&["verify", "s3://bucket/library"]);
    ok(&["sync", "s3://bucket/library", "mirror"]);
    same_tree(&scene.path("library/bundles"), &scene.path("mirror/bundles"));
    let objects = tool(scene.folder.path(), "curl", &["-sf", &format!("{url}/bucket?list-type=2")]);
    assert!(!objects.contains("library/claim"), "the claim is gone when the push is done");
    assert!(!objects.contains(".vellum"), "what is kept apart is never served");
}

#[test]
fn many_workers_pack_into_the_bucket_and_one_publisher_logs() {
    if !["moto_server", "curl"].into_iter().all(installed) {
        return;
    }
    let scene = library();
    let (_s3, url) = s3(&scene);
    let pushed = ["alpha", "beta", "gamma"].map(|worker| {
        scene.write(&format!("{worker}/{worker}.md"), format!("# By {worker}\n"));
        let bundle = scene.expect(0, &["pack", "--quiet", "--output", &format!("out-{worker}"), worker]).stdout;
        let mut command = with_s3(&scene, &url, &["push", bundle.trim(), "s3://bucket/library"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let mut deposit = vec!["deposit".to_owned(), "library".to_owned()];
    for push in pushed {
        let said = said(push.wait_with_output().unwrap());
        assert_eq!(said.code, 0, "{}", said.stderr);
        deposit.push(said.stdout.trim().to_owned());
    }
    let run = |args: &[&str]| said(with_s3(&scene, &url, args).output().unwrap());
    let deposited = run(&deposit.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((deposited.code, deposited.stdout.lines().count()), (0, 3), "{}", deposited.stderr);
    assert_eq!(run(&["push", "library", "s3://bucket/library"]).code, 0);
    assert_eq!(run(&["verify", "s3://bucket/library"]).code, 0);
    assert_eq!(run(&["cat", "s3://bucket/library", "beta/beta.md"]).stdout, "# By beta\n");
}

#[test]
fn two_publishers_of_two_histories_do_not_overwrite_each_other() {
    if !["moto_server", "curl"].into_iter().all(installed) {
        return;
    }
    let scene = library();
    let (_s3, url) = s3(&scene);
    assert_eq!(said(with_s3(&scene, &url, &["push", "library", "s3://bucket/x"]).output().unwrap()).code, 0);
    tool(scene.folder.path(), "cp", &["-r", "library", "fork"]);
    for (archive, text) in [("library", "one"), ("fork", "another")] {
        scene.write("in/notes/new.txt", text);
        scene.expect(0, &["pack", "--quiet", "--into", archive, "in"]);
    }
    let pushes = ["library", "fork"].map(|archive| {
        let mut command = with_s3(&scene, &url, &["push", archive, "s3://bucket/x"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let done = pushes.map(|push| said(push.wait_with_output().unwrap()));
    let won: Vec<_> = done.iter().map(|said| said.code).collect();
    assert!(won == [0, 1] || won == [1, 0], "{won:?} {} {}", done[0].stderr, done[1].stderr);
    let loser = &done[usize::from(won[0] == 0)];
    assert!(loser.stderr.contains("the bucket: "), "{}", loser.stderr);
    // What is there is the winner's, whole.
    let winner = if won[0] == 0 { "library" } else { "fork" };
    let run = |args: &[&str]| said(with_s3(&scene, &url, args).output().unwrap());
    // To a reader who has seen neither of the two histories.
    let _ = std::fs::remove_dir_all(scene.path("config/heads"));
    assert_eq!(run(&["verify", "s3://bucket/x"]).code, 0);
    assert!(run(&["log", "compare", winner, "s3://bucket/x"]).stdout.starts_with("same"));
}

/// A push that is killed at any of its requests is finished by the next one; a reader meanwhile finds the old state or the new.
#[test]
fn a_push_killed_at_every_request_is_finished_by_the_next() {
    if !["moto_server", "curl"].into_iter().all(installed) {
        return;
    }
    let scene = library();
    let (_s3, url) = s3(&scene);
    let run = |url: &str, args: &[&str]| said(with_s3(&scene, url, args).output().unwrap());
    tool(scene.folder.path(), "cp", &["-r", "library", "before"]);
    scene.write("in/notes/new.txt", "new\n");
    scene.expect(0, &["pack", "--quiet", "--into", "library", "in"]);
    scene.expect(0, &["withdraw", "library", "letter-1", "--reason", "a test"]);
    for allowed in 0.. {
        let (prefix, bucket) = (format!("kill-{allowed}"), format!("s3://bucket/kill-{allowed}"));
        assert_eq!(run(&url, &["push", "before", &bucket]).code, 0);
        // A door to the server that closes after so many requests.
        let door = Door::open(&url, allowed);
        let pushed = run(&door.url, &["push", "library", &bucket]);
        // The old state or the new one, whole, but for a bundle that is about to go.
        let there = run(&url, &["verify", "--older", &bucket]);
        assert_eq!(there.code, 0, "after {allowed} requests: {}", there.stdout);
        let again = run(&url, &["push", "library", &bucket]);
        assert_eq!(again.code, 0, "after {allowed} requests: {}", again.stderr);
        let verified = run(&url, &["verify", &bucket]);
        assert_eq!(verified.code, 0, "after {allowed} requests: {}", verified.stdout);
        let list = tool(scene.folder.path(), "curl", &["-sf", &format!("{url}/bucket?list-type=2&prefix={prefix}/")]);
        assert_eq!(list.matches(".tar.zst</Key>").count(), 2, "after {allowed} requests: {list}");
        assert!(!list.contains("/claim<"), "after {allowed} requests: {list}");
        if pushed.code == 0 {
            assert!(allowed > 10, "a push takes more requests than {allowed}");
            break;
        }
    }
}

/// Passes requests on, so many of them; the one after that goes through, and its answer is lost.
struct Door {
    url: String,
}

impl Door {
    fn open(to: &str, allowed: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let to = to.trim_start_matches("http://").to_owned();
        thread::spawn(move || {
            for (n, stream) in listener.incoming().flatten().enumerate() {
                if n > allowed {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&to) else { continue };
                pass(stream, server, n < allowed);
            }
        });
        Self { url }
    }
}

/// Passes one request and its answer, and closes both ways, so that each request has a connection of its own.
fn pass(client: TcpStream, server: TcpStream, answer: bool) {
    use std::io::{Read, Write};
    let (mut client, mut server) = (client, server);
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut request = Vec::new();
    let mut buffer = [0; 65536];
    // The request's head, then as many bytes as it says.
    let length = loop {
        match client.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(n) => request.extend_from_slice(&buffer[..n]),
        }
        let head = request.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = head {
            let text = String::from_utf8_lossy(&request[..end]).to_lowercase();
            let body =
                text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
            break end + 4 + body.unwrap_or(0);
        }
    };
    while request.len() < length {
        match client.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(n) => request.extend_from_slice(&buffer[..n]),
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    let head_end = text.find("\r\n").unwrap_or(0) + 2;
    let mut closing = request[..head_end].to_vec();
    closing.extend_from_slice(b"Connection: close\r\n");
    closing.extend_from_slice(&request[head_end..]);
    drop(server.write_all(&closing));
    let mut reply = Vec::new();
    drop(server.read_to_end(&mut reply));
    if answer {
        drop(client.write_all(&reply));
    }
}
