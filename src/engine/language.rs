//! ISO 639-2 codes for containers that have room for three letters only.
//!
//! Manifests carry BCP 47 tags unchanged; `mdhd` (ISO/IEC 14496-12 §8.4.2) and the
//! `ISO_639_language_descriptor` (ISO/IEC 13818-1 §2.6.18) take a terminological ISO 639-2/T code.

/// The code where the language is not known: "undetermined".
pub const UNDETERMINED: [u8; 3] = *b"und";

/// Two-letter codes of ISO 639-1, each followed by its ISO 639-2/T code, in order.
const TWO_LETTER_CODES: &str = "\
    aaaar ababk aeave afafr akaka amamh anarg arara asasm avava ayaym azaze babak \
    bebel bgbul bhbih bibis bmbam bnben bobod brbre bsbos cacat ceche chcha cocos \
    crcre csces cuchu cvchv cycym dadan dedeu dvdiv dzdzo eeewe elell eneng eoepo \
    esspa etest eueus fafas ffful fifin fjfij fofao frfra fyfry gagle gdgla glglg \
    gngrn guguj gvglv hahau heheb hihin hohmo hrhrv hthat huhun hyhye hzher iaina \
    idind ieile igibo iiiii ikipk ioido isisl itita iuiku jajpn jvjav kakat kgkon \
    kikik kjkua kkkaz klkal kmkhm knkan kokor krkau kskas kukur kvkom kwcor kykir \
    lalat lbltz lglug lilim lnlin lolao ltlit lulub lvlav mgmlg mhmah mimri mkmkd \
    mlmal mnmon mrmar msmsa mtmlt mymya nanau nbnob ndnde nenep ngndo nlnld nnnno \
    nonor nrnbl nvnav nynya ococi ojoji omorm orori ososs papan pipli plpol pspus \
    ptpor quque rmroh rnrun roron rurus rwkin sasan scsrd sdsnd sesme sgsag sisin \
    skslk slslv smsmo snsna sosom sqsqi srsrp ssssw stsot susun svswe swswa tatam \
    tetel tgtgk ththa titir tktuk tltgl tntsn toton trtur tstso tttat twtwi tytah \
    uguig ukukr ururd uzuzb veven vivie vovol wawln wowol xhxho yiyid yoyor zazha \
    zhzho zuzul";

/// The ISO 639-2 code of a BCP 47 tag's primary language subtag (RFC 5646 §2.2.1), in lower case;
/// [`UNDETERMINED`] where there is no tag, or its subtag has no such code.
#[must_use]
pub fn iso_639_2(tag: Option<&str>) -> [u8; 3] {
    let primary = tag.unwrap_or_default().split(['-', '_']).next().unwrap_or_default();
    let lower = primary.to_ascii_lowercase();
    match lower.as_bytes() {
        code if code.len() == 3 && code.iter().all(u8::is_ascii_lowercase) => {
            code.first_chunk().copied().unwrap_or(UNDETERMINED)
        }
        code if code.len() == 2 => TWO_LETTER_CODES
            .split(' ')
            .find_map(|row| row.as_bytes().strip_prefix(code)?.first_chunk().copied())
            .unwrap_or(UNDETERMINED),
        _ => UNDETERMINED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_three_letters() {
        let table: [(Option<&str>, &[u8; 3]); 9] = [
            (None, b"und"),
            (Some(""), b"und"),
            (Some("en"), b"eng"),
            (Some("de-AT"), b"deu"),
            (Some("ZH_Hant"), b"zho"),
            (Some("eng"), b"eng"),
            (Some("gsw-CH"), b"gsw"),
            (Some("x-klingon"), b"und"),
            (Some("q1a"), b"und"),
        ];
        for (tag, want) in table {
            assert_eq!(&iso_639_2(tag), want, "{tag:?}");
        }
    }

    #[test]
    fn every_row_is_five_letters_and_in_order() {
        let rows: Vec<&str> = TWO_LETTER_CODES.split(' ').collect();
        assert_eq!(rows.len(), 184);
        assert!(rows.iter().all(|row| row.len() == 5));
        assert!(rows.is_sorted());
    }
}
