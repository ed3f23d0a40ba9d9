//! A message in XML (ANSI/SCTE 35 2023 §11, schema `http://www.scte.org/schemas/35/2016`), as DASH
//! event streams of `urn:scte:scte35:2013:xml` carry it.
//!
//! Descriptors that the vocabulary has no element for are left out.

use super::descriptor::{SegmentationDescriptor, SpliceDescriptor, Upid};
use super::text::hex;
use super::{SpliceCommand, SpliceEvent, SpliceInfo, SpliceInsert};
use std::fmt::{Display, Write as _};

/// The vocabulary's namespace.
const NAMESPACE: &str = "http://www.scte.org/schemas/35/2016";

/// Appends the element `scte35:SpliceInfoSection`.
pub fn push_xml(out: &mut String, info: &SpliceInfo) {
    out.push_str("<scte35:SpliceInfoSection");
    push(out, "xmlns:scte35", NAMESPACE);
    push(out, "protocolVersion", info.protocol_version);
    push(out, "ptsAdjustment", info.pts_adjustment);
    push(out, "tier", info.tier);
    out.push_str(">\n");
    push_command(out, &info.command);
    for descriptor in &info.descriptors {
        push_descriptor(out, descriptor);
    }
    out.push_str("</scte35:SpliceInfoSection>\n");
}

/// Appends an attribute whose value needs no escaping.
fn push(out: &mut String, name: &str, value: impl Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, " {name}=\"{value}\"");
}

fn push_escaped(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            letter => out.push(letter),
        }
    }
}

fn push_command(out: &mut String, command: &SpliceCommand) {
    match command {
        SpliceCommand::Null => out.push_str("<scte35:SpliceNull/>\n"),
        SpliceCommand::Insert(insert) => push_insert(out, insert),
        SpliceCommand::TimeSignal(time) => {
            out.push_str("<scte35:TimeSignal>\n");
            push_time(out, *time);
            out.push_str("</scte35:TimeSignal>\n");
        }
        SpliceCommand::BandwidthReservation => out.push_str("<scte35:BandwidthReservation/>\n"),
        SpliceCommand::Private { identifier, data } => {
            out.push_str("<scte35:PrivateCommand");
            push(out, "identifier", identifier);
            out.push_str("><scte35:PrivateBytes>");
            out.push_str(&hex(data));
            out.push_str("</scte35:PrivateBytes></scte35:PrivateCommand>\n");
        }
        SpliceCommand::Schedule(_)
        | SpliceCommand::Unknown(..)
        | SpliceCommand::Encrypted { .. } => {}
    }
}

fn push_time(out: &mut String, time: Option<u64>) {
    out.push_str("<scte35:SpliceTime");
    if let Some(time) = time {
        push(out, "ptsTime", time);
    }
    out.push_str("/>\n");
}

fn push_insert(out: &mut String, insert: &SpliceInsert) {
    out.push_str("<scte35:SpliceInsert");
    push(out, "spliceEventId", insert.event_id);
    push(out, "spliceEventCancelIndicator", insert.event.is_none());
    let Some(event) = &insert.event else { return out.push_str("/>\n") };
    let SpliceEvent { time, duration, .. } = *event;
    push(out, "outOfNetworkIndicator", event.out_of_network);
    push(out, "spliceImmediateFlag", time.is_none());
    push(out, "uniqueProgramId", event.program_id);
    push(out, "availNum", event.avail);
    push(out, "availsExpected", event.avails_expected);
    out.push_str(">\n");
    if time.is_some() {
        out.push_str("<scte35:Program>");
        push_time(out, time);
        out.push_str("</scte35:Program>\n");
    } else {
        out.push_str("<scte35:Program/>\n");
    }
    if let Some(duration) = duration {
        out.push_str("<scte35:BreakDuration");
        push(out, "autoReturn", duration.auto_return);
        push(out, "duration", duration.ticks);
        out.push_str("/>\n");
    }
    out.push_str("</scte35:SpliceInsert>\n");
}

fn push_descriptor(out: &mut String, descriptor: &SpliceDescriptor) {
    match descriptor {
        SpliceDescriptor::Avail(id) => {
            out.push_str("<scte35:AvailDescriptor");
            push(out, "providerAvailId", id);
            out.push_str("/>\n");
        }
        SpliceDescriptor::Dtmf { preroll, tones } => {
            let is_tone = |tone: &&u8| tone.is_ascii_digit() || matches!(tone, b'*' | b'#');
            let tones: String =
                tones.iter().filter(is_tone).map(|tone| char::from(*tone)).collect();
            out.push_str("<scte35:DTMFDescriptor");
            push(out, "preroll", preroll);
            push(out, "chars", tones);
            out.push_str("/>\n");
        }
        SpliceDescriptor::Segmentation(segmentation) => push_segmentation(out, segmentation),
        SpliceDescriptor::Time { tai_seconds, tai_ns, utc_offset } => {
            out.push_str("<scte35:TimeDescriptor");
            push(out, "taiSeconds", tai_seconds);
            push(out, "taiNs", tai_ns);
            push(out, "utcOffset", utc_offset);
            out.push_str("/>\n");
        }
        SpliceDescriptor::Audio(_) | SpliceDescriptor::Unknown(..) => {}
    }
}

fn push_segmentation(out: &mut String, it: &SegmentationDescriptor) {
    out.push_str("<scte35:SegmentationDescriptor");
    push(out, "segmentationEventId", it.event_id);
    push(out, "segmentationEventCancelIndicator", it.is_cancelled);
    if it.is_cancelled {
        return out.push_str("/>\n");
    }
    if let Some(duration) = it.duration {
        push(out, "segmentationDuration", duration);
    }
    push(out, "segmentationTypeId", it.kind.0);
    push(out, "segmentNum", it.segment);
    push(out, "segmentsExpected", it.segments_expected);
    if let Some((number, expected)) = it.sub_segment {
        push(out, "subSegmentNum", number);
        push(out, "subSegmentsExpected", expected);
    }
    out.push_str(">\n");
    if let Some(restrictions) = it.restrictions {
        out.push_str("<scte35:DeliveryRestrictions");
        push(out, "webDeliveryAllowedFlag", restrictions.web_delivery_allowed);
        push(out, "noRegionalBlackoutFlag", restrictions.no_regional_blackout);
        push(out, "archiveAllowedFlag", restrictions.archive_allowed);
        push(out, "deviceRestrictions", restrictions.device_restrictions);
        out.push_str("/>\n");
    }
    for upid in it.upid.parts() {
        push_upid(out, &upid);
    }
    for component in &it.components {
        out.push_str("<scte35:Component");
        push(out, "componentTag", component.tag);
        push(out, "ptsOffset", component.pts_offset);
        out.push_str("/>\n");
    }
    out.push_str("</scte35:SegmentationDescriptor>\n");
}

fn push_upid(out: &mut String, upid: &Upid) {
    out.push_str("<scte35:SegmentationUpid");
    push(out, "segmentationUpidType", upid.kind);
    match upid.as_text() {
        Some(text) => {
            push(out, "segmentationUpidFormat", "text");
            out.push('>');
            push_escaped(out, text);
        }
        None => {
            push(out, "segmentationUpidFormat", "hexbinary");
            out.push('>');
            out.push_str(&hex(&upid.data));
        }
    }
    out.push_str("</scte35:SegmentationUpid>\n");
}
