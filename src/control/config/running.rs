//! What a reload cannot change: the parts that listeners, threads and files were made from.

use super::Config;

/// Puts the running value back where another came. Returns whether one did.
fn put_back<T: Clone + PartialEq>(value: &mut T, running: &T) -> bool {
    let is_changed = value != running;
    value.clone_from(running);
    is_changed
}

impl Config {
    /// Puts back what the process runs with in all keys that only a restart changes. Returns the
    /// names of those that had another value.
    pub fn keep_running(&mut self, running: &Self) -> Vec<&'static str> {
        let (server, storage) = (&mut self.server, &mut self.storage);
        let kept = [
            ("server.http", put_back(&mut server.http, &running.server.http)),
            ("server.ingest_http", put_back(&mut server.ingest_http, &running.server.ingest_http)),
            ("server.shards", put_back(&mut server.shards, &running.server.shards)),
            ("server.digest", put_back(&mut server.digest, &running.server.digest)),
            ("control.listen", put_back(&mut self.control.listen, &running.control.listen)),
            ("storage.dir", put_back(&mut storage.dir, &running.storage.dir)),
            ("storage.cache", put_back(&mut storage.cache_bytes, &running.storage.cache_bytes)),
            (
                "storage.sync_interval",
                put_back(&mut storage.sync_interval, &running.storage.sync_interval),
            ),
            ("log.level", put_back(&mut self.log.level, &running.log.level)),
            ("log.format", put_back(&mut self.log.format, &running.log.format)),
            ("access_log.path", put_back(&mut self.access_log, &running.access_log)),
        ];
        kept.into_iter().filter_map(|(key, is_changed)| is_changed.then_some(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn what_needs_a_restart_is_named_and_stays() {
        let running = parse("a", "", std::iter::empty()).unwrap();
        let cases = [
            ("", vec![]),
            ("[server]\nshards = 3\n", vec!["server.shards"]),
            ("[control]\nlisten = \"127.0.0.1:1\"\n", vec!["control.listen"]),
            (
                "[storage]\ndir = \"elsewhere\"\ncache = \"3GiB\"\n",
                vec!["storage.dir", "storage.cache"],
            ),
            ("[access_log]\npath = \"access.log\"\n", vec!["access_log.path"]),
        ];
        for (text, keys) in cases {
            let mut config = parse("a", text, std::iter::empty()).unwrap();
            assert_eq!(config.keep_running(&running), keys, "{text}");
            assert_eq!(config, running, "{text}");
        }
    }
}
