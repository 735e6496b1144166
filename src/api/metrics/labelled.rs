//! Families whose rows have labels, and histograms.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::text::float;
use crate::types::{
    Histogram, HistogramFamily, LabelValues, MetricsSnapshot, SeriesFamily, SeriesKind,
};

/// Labels with their values.
type Labels<'a> = Vec<(&'static str, &'a str)>;

/// Writes all families.
pub(super) fn encode(
    snapshot: &MetricsSnapshot,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    for family in SeriesFamily::ALL {
        rows(snapshot, *family, encoder)?;
    }
    for family in HistogramFamily::ALL {
        histograms(snapshot, *family, encoder)?;
    }
    Ok(())
}

fn rows(
    snapshot: &MetricsSnapshot,
    family: SeriesFamily,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let mut rows = snapshot.series.rows(family).peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let is_counter = family.kind() == SeriesKind::Counter;
    let kind = if is_counter { MetricType::Counter } else { MetricType::Gauge };
    let mut metric = encoder.encode_descriptor(family.name(), family.help(), None, kind)?;
    for (values, value) in rows {
        let labels = labels(family.labels(), values);
        let write = |metric: MetricEncoder<'_>| match is_counter {
            true => ConstCounter::new(value).encode(metric),
            false => ConstGauge::new(value.cast_signed()).encode(metric),
        };
        match labels.is_empty() {
            true => return write(metric),
            false => write(metric.encode_family(&labels)?)?,
        }
    }
    Ok(())
}

fn labels<'a>(names: &[&'static str], values: &'a LabelValues) -> Labels<'a> {
    names.iter().copied().zip(values.iter().map(|value| &**value)).collect()
}

fn histograms(
    snapshot: &MetricsSnapshot,
    family: HistogramFamily,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let mut rows = snapshot.series.histograms(family).peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let (name, help) = (family.name(), family.help());
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    for (value, histogram) in rows {
        let Some(label) = family.label() else { return buckets(metric, family, histogram) };
        let labels: Labels<'_> = vec![(label, value)];
        buckets(metric.encode_family(&labels)?, family, histogram)?;
    }
    Ok(())
}

fn buckets(
    mut metric: MetricEncoder<'_>,
    family: HistogramFamily,
    histogram: &Histogram,
) -> fmt::Result {
    let (bounds, unit) = (family.bounds(), family.unit());
    let uppers = bounds.iter().map(|bound| float(*bound) / unit).chain([f64::INFINITY]);
    let counts = histogram.buckets(bounds.len()).iter().copied();
    let buckets: Vec<(f64, u64)> = uppers.zip(counts).collect();
    let sum = float(histogram.sum()) / unit;
    metric.encode_histogram::<Labels<'_>>(sum, histogram.count(), &buckets, None)
}
