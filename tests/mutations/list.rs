//! The list: what is broken, where and how, and the test that must notice.

/// A defect.
pub struct Mutation {
    pub what: &'static str,
    pub file: &'static str,
    pub old: &'static str,
    pub new: &'static str,
    /// Arguments of `cargo test` that choose the program with the test.
    pub program: &'static [&'static str],
    /// The test that must fail.
    pub test: &'static str,
}

const LIB: &[&str] = &["--lib"];
const SIM: &[&str] = &["--test", "sim"];
const MODELS: &[&str] = &["--test", "models"];
const CANARY: &[&str] = &["--test", "canary"];
const E2E: &[&str] = &["--test", "e2e"];

pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        what: "publish before commit",
        file: "src/shard/owner.rs",
        old: "        let owner = Rc::clone(self);
        rt::spawn(async move {
            let written = written.await;
            owner.on_changes_written(written.ok(), published);",
        new: "        let owner = Rc::clone(self);
        if let Some(published) = published {
            self.show(published);
        }
        rt::spawn(async move {
            let written = written.await;
            owner.on_changes_written(written.ok(), None);",
        program: LIB,
        test: "a_failed_write_is_told_and_repeated",
    },
    Mutation {
        what: "changes that could not be written are forgotten",
        file: "src/shard/owner.rs",
        old: "            self.unwritten.push_front(change);",
        new: "            drop(change);",
        program: LIB,
        test: "a_failed_write_is_told_and_repeated",
    },
    Mutation {
        what: "a file that has readers is used again",
        file: "src/ring/jobs.rs",
        old: "            let _stays_until_the_next_open = file.unlink();",
        new: "            let _overwritten = file.write_at(4_096, &vec![0xff; 1 << 18]);
            let _stays_until_the_next_open = file.unlink();",
        program: CANARY,
        test: "large_writes_on_disk",
    },
    Mutation {
        what: "space that readers hold is not counted",
        file: "src/ring/rotation.rs",
        old: "self.live_size() + self.spare_size() + dropped + lingering + asked",
        new: "self.live_size() + self.spare_size() + dropped + asked + 0 * lingering",
        program: LIB,
        test: "a_file_with_readers_keeps_its_bytes_and_counts_against_the_spares",
    },
    Mutation {
        what: "a record is trusted without its trailer's tag",
        file: "src/ring/format.rs",
        old: "    (*block == trailer_bytes(head, header, content, identity)).then_some(content)",
        new: "    { let _tag = trailer_bytes(head, header, content, identity); Some(content) }",
        program: LIB,
        test: "a_record_torn_at_any_byte_is_left_out",
    },
    Mutation {
        what: "payloads are not verified after a power cut",
        file: "src/ring/recovery.rs",
        old: "footer.is_none() && (superblock.boot != boot || stranded.is_some()),",
        new: "footer.is_none() && stranded.is_some(),",
        program: LIB,
        test: "payloads_are_verified_after_a_reboot",
    },
    Mutation {
        what: "a failed sync is tried again",
        file: "src/ring/file.rs",
        old: "        self.sync_data().inspect_err(|_| self.mark_broken())?;",
        new: "        self.sync_data()?;",
        program: LIB,
        test: "a_sync_that_failed_is_not_tried_again",
    },
    Mutation {
        what: "a restart takes what could not be synced for kept",
        file: "src/ring/recovery.rs",
        old: "stranded.filter(|stranded| is_read && stranded.boot == boot);",
        new: "stranded.filter(|stranded| is_read && stranded.boot != boot);",
        program: LIB,
        test: "st_13_a_restart_does_not_take_what_could_not_be_synced_for_kept",
    },
    Mutation {
        what: "declarations are never waited for",
        file: "src/engine/channel/declared.rs",
        old: "            self.inputs.on_late_declaration(input);\n",
        new: "",
        program: LIB,
        test: "in_15_what_is_declared_too_late_changes_nothing_and_teaches_to_wait",
    },
    Mutation {
        what: "a strict ring reports before it syncs",
        file: "src/ring/commit.rs",
        old: "written.is_err() || !self.is_strict.load(Ordering::Acquire)",
        new: "written.is_err() || self.is_strict.load(Ordering::Acquire)",
        program: LIB,
        test: "st_05_what_a_strict_ring_reports_is_on_the_disk",
    },
    Mutation {
        what: "a record that could not be synced is reported",
        file: "src/ring/commit.rs",
        old: "        if self.file.is_synced(self.mark) {
            return Ok(());
        }
        Err(WriteError::Unsynced { file: self.file.sequence(), offset: self.offset })",
        new: "        Ok(())",
        program: LIB,
        test: "st_13_a_record_that_cannot_be_synced_is_not_reported_and_its_file_is_left",
    },
    Mutation {
        what: "a record counts as synced that was written while the sync ran",
        file: "src/ring/file.rs",
        old: "        self.synced.store(written, Ordering::Release);
        Ok(true)",
        new: "        self.synced.store(self.written_size(), Ordering::Release);
        Ok(true)",
        program: LIB,
        test: "a_record_written_while_a_sync_runs_waits_for_the_next",
    },
    Mutation {
        what: "a file that failed is appended to",
        file: "src/ring/rotation.rs",
        old: "self.is_begun && !newest.file.is_broken()",
        new: "self.is_begun",
        program: LIB,
        test: "a_failed_file_is_given_up_for_a_fresh_one",
    },
    Mutation {
        what: "an owner that was replaced still writes",
        file: "src/ring/tenure.rs",
        old: "        let may = self.is_current();",
        new: "        let may = self.is_current() || self.epoch > 0 || self.epoch == 0;",
        program: LIB,
        test: "ring::tests::succession",
    },
    Mutation {
        what: "memory of a body is not given back",
        file: "src/shard/site.rs",
        old: "        self.budgets.iter().for_each(|budget| budget.give_back(self.size));",
        new: "        self.budgets.iter().skip(1).for_each(|budget| budget.give_back(self.size));",
        program: LIB,
        test: "a_reservation_takes_all_or_nothing_and_gives_it_back",
    },
    Mutation {
        what: "a sender does not look for a sleeper in the right order",
        file: "src/shard/mailbox.rs",
        old: "        fence(Ordering::SeqCst);
        if self.0.take_sleeper() {",
        new: "        if self.0.take_sleeper() {",
        program: MODELS,
        test: "a_sleeping_receiver_is_woken_for_every_message",
    },
    Mutation {
        what: "a receiver sleeps without a second look",
        file: "src/shard/mailbox.rs",
        old: "                fence(Ordering::SeqCst);
                self.drain(messages);",
        new: "                fence(Ordering::SeqCst);",
        program: MODELS,
        test: "a_sleeping_receiver_is_woken_for_every_message",
    },
    Mutation {
        what: "a count of publications in a manifest",
        file: "src/engine/manifest/dash.rs",
        old: "        push_date_time(out, view.wall(end));
        out.push('\"');",
        new: "        let version = i64::try_from(view.presentation.version).unwrap_or(0);
        push_date_time(out, view.wall(end) + MediaTime(90 * version));
        out.push('\"');",
        program: SIM,
        test: "two_origins_say_the_same",
    },
    Mutation {
        what: "tracks in the order in which they came",
        file: "src/engine/channel/state.rs",
        old: "        order.sort_by_key(|track| (track.info.kind, track.order));",
        new: "        order.sort_by_key(|track| track.info.kind);
        let count = order.len().max(1);
        order.rotate_left(usize::try_from(self.version).unwrap_or(0) % count);",
        program: SIM,
        test: "two_origins_say_the_same",
    },
    Mutation {
        what: "what was committed and not listed is forgotten in a restart",
        file: "src/engine/channel/mod.rs",
        old: "        self.unlisted.push((meta, table, payload, hash));",
        new: "        drop((meta, table, payload, hash));",
        program: SIM,
        test: "the_laws_hold_whatever_happens",
    },
    Mutation {
        what: "discontinuities that left the window are not counted",
        file: "src/engine/manifest/hls_media.rs",
        old: "self.track.discontinuity_count.saturating_sub(since)",
        new: "0_u64.saturating_sub(since)",
        program: SIM,
        test: "the_laws_hold_whatever_happens",
    },
    Mutation {
        what: "timestamps are not unwrapped",
        file: "src/engine/channel/grid.rs",
        old: "(target - reference.0 + half).rem_euclid(SOURCE_TIME_MODULUS) - half;",
        new: "(target - reference.0).rem_euclid(SOURCE_TIME_MODULUS << 20);",
        program: SIM,
        test: "a_week_is_continuous_and_memory_stays_flat",
    },
    Mutation {
        what: "the window keeps what left the ring",
        file: "src/engine/channel/mod.rs",
        old: "        self.windows.drop_files(file);
        self.candidates",
        new: "        self.candidates",
        program: SIM,
        test: "a_week_is_continuous_and_memory_stays_flat",
    },
    Mutation {
        what: "late media changes a segment that was shown",
        file: "src/engine/channel/filling.rs",
        old: " && self.config.join_seconds.iter().all(untouched)",
        new: " && self.config.join_seconds.iter().any(untouched)",
        program: SIM,
        test: "the_laws_hold_whatever_happens",
    },
    Mutation {
        what: "one encoder's ENDLIST ends the channel",
        file: "src/engine/channel/input.rs",
        old: "inputs.all(|input| ended(input) ||",
        new: "inputs.all(|input| input.number() > 0 ||",
        program: SIM,
        test: "one_good_copy_is_enough",
    },
    Mutation {
        what: "a nonce's count is admitted twice",
        file: "src/http/digest/replay.rs",
        old: "        self.used |= bit;
        first_use",
        new: "        self.used |= bit;
        first_use || count > 0",
        program: LIB,
        test: "a_count_is_admitted_once_and_in_any_order_within_the_window",
    },
    Mutation {
        what: "an entity tag that does not cover the media",
        file: "src/engine/manifest/plan.rs",
        old: "            hasher.update(&part.media.hash.to_le_bytes());",
        new: "",
        program: LIB,
        test: "entity_tags_cover_media_and_urls_cover_configurations",
    },
    Mutation {
        what: "a URL that does not cover the configuration",
        file: "src/engine/manifest/url_hash.rs",
        old: "    add_track(&mut hasher, shape.track, shape.config);
    if let",
        new: "    add_track(&mut hasher, shape.track, &shape.track.config);
    if let",
        program: LIB,
        test: "entity_tags_cover_media_and_urls_cover_configurations",
    },
    Mutation {
        what: "what an operator wants is not passed on",
        file: "src/shard/owner.rs",
        old: "                channel.switch_to(input);",
        new: "                let _ = input;",
        program: E2E,
        test: "the_preferred_input_leads_until_an_operator_wants_the_other_and_back",
    },
    Mutation {
        what: "the configured preference does not reach the channel",
        file: "src/control/apply.rs",
        old: "preference: Preference { input: channel.preferred_input, \
              fail_back: channel.fail_back },",
        new: "preference: Preference::default(),",
        program: LIB,
        test: "a_channel_is_told_which_input_is_preferred",
    },
    Mutation {
        what: "nobody is preferred at the start",
        file: "src/engine/channel/session.rs",
        old: "let preferred = self.config.preference.input;",
        new: "let preferred: Option<InputNumber> = None;",
        program: LIB,
        test: "the_preferred_input_leads_at_the_start_where_both_deliver",
    },
    Mutation {
        what: "an input may be late for ever",
        file: "src/engine/channel/leading.rs",
        old: "const LATE_COUNT: u32 = 3;",
        new: "const LATE_COUNT: u32 = u32::MAX;",
        program: LIB,
        test: "an_input_that_was_late_three_times_in_a_row_leads_no_longer",
    },
    Mutation {
        what: "manifests are stale long before the limit",
        file: "src/shard/site.rs",
        old: "self.edge_age.at(now) > limit",
        new: "self.edge_age.at(now) > limit / 20",
        program: E2E,
        test: "in_03_silent_inputs_make_manifests_stale_and_media_brings_them_back",
    },
];
