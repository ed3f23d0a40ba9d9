//! The mailbox: no message is lost, none waits while its receiver sleeps, and what is left when the
//! receiver goes is dropped.

use crate::shard::mailbox::mailbox;
use crate::shard::queue::ENDS_HALFWAY;
use crate::try_all;
use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;

#[test]
fn a_sleeping_receiver_is_woken_for_every_message() {
    // A wake-up that is lost leaves the receiver asleep for ever, which loom reports.
    try_all(2, || {
        let (sender, mut receiver) = mailbox(2);
        let senders: Vec<_> = (0..2)
            .map(|number| {
                let sender = sender.clone();
                thread::spawn(move || sender.try_send(number).expect("room for two"))
            })
            .collect();
        let mut messages = Vec::new();
        while messages.len() < 2 {
            block_on(receiver.receive(&mut messages));
        }
        messages.sort_unstable();
        assert_eq!(messages, [0, 1]);
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

#[test]
fn one_sender_after_another_wakes_it_again() {
    try_all(2, || {
        let (sender, mut receiver) = mailbox(1);
        let first = thread::spawn(move || {
            let mut taken = 0;
            for number in 0..2 {
                taken += i32::from(sender.try_send(number).is_ok());
            }
            taken
        });
        let mut messages = Vec::new();
        block_on(receiver.receive(&mut messages));
        let taken = first.join().unwrap();
        while messages.len() < usize::try_from(taken).unwrap() {
            block_on(receiver.receive(&mut messages));
        }
        assert_eq!(messages[0], 0, "the first has room");
    });
}

#[test]
fn co_04_a_full_mailbox_or_one_without_a_receiver_gives_the_message_back_or_drops_it() {
    try_all(2, || {
        let (sender, receiver) = mailbox(1);
        let socket = Arc::new(());
        let theirs = Arc::clone(&socket);
        let sending = thread::spawn(move || {
            // Refused, and dropped here; or taken.
            drop(sender.try_send(theirs));
        });
        drop(receiver);
        sending.join().unwrap();
        // What came between the receiver's last look and its end goes with the last sender.
        assert_eq!(Arc::strong_count(&socket), 1, "a socket that nobody closes");
    });
}

#[test]
fn co_05_a_sender_that_ends_halfway_holds_up_nobodys_message() {
    try_all(2, || {
        let (sender, mut receiver) = mailbox(3);
        let dying = sender.clone();
        let dying = thread::spawn(move || {
            ENDS_HALFWAY.with(|ends| ends.set(true));
            dying.try_send(0)
        });
        let sending = thread::spawn(move || (1..3).try_for_each(|number| sender.try_send(number)));
        let mut messages = Vec::new();
        while messages.len() < 2 {
            block_on(receiver.receive(&mut messages));
        }
        messages.sort_unstable();
        assert_eq!(messages, [1, 2]);
        sending.join().unwrap().expect("room beside what is taken for ever");
        dying.join().unwrap().expect("it had begun");
    });
}
