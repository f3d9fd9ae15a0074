//! Records in a stream, however the stream is cut.
use mezz_proto::recordio::{Decoder, RecordIoError, encode};

#[test]
fn a_record_is_its_length_a_line_feed_and_its_bytes() {
    assert_eq!(&encode(b"hello\n")[..], b"6\nhello\n");
    assert_eq!(&encode("é".as_bytes())[..], "2\né".as_bytes());
}

#[test]
fn records_come_out_whole_whatever_the_chunks() {
    let stream = [encode(b"one"), encode(b""), encode(b"3\nxyz")].concat();
    for size in 1..=stream.len() {
        let mut decoder = Decoder::new(100);
        let mut records = Vec::new();
        for chunk in stream.chunks(size) {
            decoder.push(chunk);
            while let Some(record) = decoder.next().expect("the stream is well formed") {
                records.push(record);
            }
        }
        assert_eq!(records, [&b"one"[..], b"", b"3\nxyz"]);
        assert!(decoder.is_at_boundary());
    }
}

#[test]
fn a_stream_cut_inside_a_record_is_not_at_a_boundary() {
    for cut in ["5", "5\n", "5\nhell"] {
        let mut decoder = Decoder::new(100);
        decoder.push(cut.as_bytes());
        assert_eq!(decoder.next(), Ok(None));
        assert!(!decoder.is_at_boundary(), "{cut:?}");
    }
}

#[test]
fn a_record_above_the_limit_is_refused_before_it_arrives() {
    let mut decoder = Decoder::new(4);
    decoder.push(b"4\nabcd5\n");
    assert_eq!(
        decoder.next().expect("it fits").as_deref(),
        Some(&b"abcd"[..])
    );
    assert_eq!(
        decoder.next(),
        Err(RecordIoError::TooLong {
            length: 5,
            limit: 4
        })
    );
}

#[test]
fn a_header_that_is_no_length_ends_the_stream_for_good() {
    for header in [
        "x\n",
        "\n",
        "-1\n",
        "+1\n",
        " 1\n",
        "1 \n",
        "999999999999999999999999",
        "18446744073709551616\n",
    ] {
        let mut decoder = Decoder::new(100);
        decoder.push(header.as_bytes());
        assert!(
            matches!(decoder.next(), Err(RecordIoError::Length(_))),
            "{header:?}"
        );
        decoder.push(b"1\na");
        assert!(decoder.next().is_err(), "{header:?}");
    }
}
