package promhttp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"
)

// Answer is what a Prometheus HTTP API says.
type Answer struct {
	Status   string   `json:"status"`
	Error    string   `json:"error"`
	Warnings []string `json:"warnings"`
	Data     struct {
		ResultType string `json:"resultType"`
		Result     []struct {
			Metric     map[string]string `json:"metric"`
			Value      [2]any            `json:"value"`
			Values     [][2]any          `json:"values"`
			Histogram  [2]any            `json:"histogram"`
			Histograms [][2]any          `json:"histograms"`
		} `json:"result"`
	} `json:"data"`
}

// Query asks api ("query" or "query_range") of a server.
func Query(ctx context.Context, base, api string, params map[string]string) (*Answer, error) {
	v := url.Values{}
	for k, x := range params {
		v.Set(k, x)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/"+api, strings.NewReader(v.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var a Answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", base, resp.Status, err)
	}
	if a.Status != "success" {
		return nil, fmt.Errorf("%s: %s: %s", base, resp.Status, a.Error)
	}
	return &a, nil
}

// Text is the answer as comparable lines, sorted by series, without the labels
// that are to be left out. Values are the strings of the API, which carry all
// 64 bits.
func (a *Answer) Text(without ...string) string {
	var lines []string
	for _, r := range a.Data.Result {
		for _, n := range without {
			delete(r.Metric, n)
		}
		m, err := json.Marshal(r.Metric) // keys sorted
		if err != nil {
			panic(err)
		}
		lines = append(lines, fmt.Sprint(string(m), r.Value, r.Values, r.Histogram, r.Histograms))
	}
	sort.Strings(lines)
	return a.Data.ResultType + "\n" + strings.Join(lines, "\n")
}
