package storetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
)

// dataChecks compare what is sent with the fixture, one metric each.
func dataChecks() []check {
	family := func(name, doc string, f Feature, metrics ...string) check {
		return check{name: name, doc: doc, fixture: true, feature: f, run: func(ctx context.Context, p *probe) error {
			for _, m := range metrics {
				if err := p.compareFamily(ctx, m); err != nil {
					return err
				}
			}
			return nil
		}}
	}
	return []check{
		{name: "nothing-else", doc: "No series are sent that the store does not hold.", fixture: true, run: checkNothingElse},
		family("floats", "Floats are sent bit by bit: NaN and infinities too.", "", metricFloats),
		family("negative-zero", "The float -0 is sent as such.", NegativeZero, metricNegativeZero),
		family("stale-markers", "Stale markers are sent, and no other NaN in their place.", "", metricStale),
		family("long-series", "A series of many chunks is sent whole.", "", metricLong),
		family("short-series", "Series with a single sample are sent.", "", metricSingle),
		family("histograms-integer", "Native histograms with integer counts are sent, whatever their buckets.", NativeHistograms, metricHistogram),
		family("histograms-float", "Native histograms with floating-point counts are sent as such.", NativeHistograms, metricFloatHistogram),
		family("histograms-gauge", "Gauge histograms are sent as such.", NativeHistograms, metricGaugeHistogram),
		family("histograms-custom-buckets", "Native histograms with custom buckets are sent with their bounds.", CustomBuckets, metricCustomBuckets),
		family("histograms-mixed", "A series of floats and of histograms of both kinds is sent whole.", NativeHistograms, metricMixed),
		family("utf8-metric-names", "Metric names beyond the classic alphabet are sent as they are.", UTF8Names, metricUTF8),
		family("utf8-label-names", "Label names and values beyond the classic alphabet are sent as they are.", UTF8Names, metricUTF8Labels),
		family("label-values-odd", "Label values of any text are sent as they are, and labels without a value are no labels.", "", metricLabels),
		family("external-labels", "Every series has the external labels.", "", metricAfter),
		family("external-labels-override", "External labels override labels of the same name.", "", metricOverride),
	}
}

// compareFamily compares the series of a metric with the fixture's.
func (p *probe) compareFamily(ctx context.Context, metric string) error {
	want := p.fixture.named(metric)
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	var wantSets, gotSets []labels.Labels
	for _, w := range want {
		wantSets = append(wantSets, w.sent)
	}
	for _, s := range a.series {
		if s.labels.Get(labels.MetricName) == metric {
			gotSets = append(gotSets, s.labels)
		}
	}
	sortLabelSets(wantSets)
	if diff := diffLabelSets(wantSets, gotSets); diff != "" {
		return errors.New(diff)
	}
	for _, w := range want {
		s := a.find(w.sent)
		if diff := diffSamples(w.samples, s.samples()); diff != "" {
			return fmt.Errorf("series %s: %s", s.labels, diff)
		}
	}
	return nil
}

func checkNothingElse(ctx context.Context, p *probe) error {
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, s := range p.fixture.series {
		known[s.labels.Get(labels.MetricName)] = true
	}
	for _, s := range a.series {
		if !known[s.labels.Get(labels.MetricName)] {
			return fmt.Errorf("series %s was sent, which is not in the fixture", s.labels)
		}
	}
	return nil
}
