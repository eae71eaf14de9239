package promqlstore

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
)

// FuzzDecodeMatrix compares the decoder of samples with package json's.
func FuzzDecodeMatrix(f *testing.F) {
	for _, seed := range []string{
		`{"resultType":"matrix","result":[{"metric":{"a":"1"},"values":[[1435781430.781,"1"],[1,"NaN"],[-1.5e3,"+Inf"]]}]}`,
		`{"result":[{"histograms":[[1,{"count":"1"}]],"values":null},{"metric":{}}]}`,
		`{"result":null}`, `{"result":[{"values":[[0.0015,"-0"] , [ 2 , "1e9" ]]}]}`, `{"result":[{"values":[[1.,"1"]]}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var got [][]float
		err := decodeMatrix(json.NewDecoder(strings.NewReader(string(b))), func(s *matrixSeries) error {
			got = append(got, append([]float(nil), s.Values...))
			return nil
		})
		if err != nil {
			return
		}
		var want struct {
			Result []struct {
				Values [][2]json.RawMessage `json:"values"`
			} `json:"result"`
		}
		if json.Unmarshal(b, &want) != nil || len(want.Result) != len(got) { // a key given twice, or written otherwise
			return
		}
		for i, s := range want.Result {
			if len(s.Values) != len(got[i]) {
				return // as above
			}
			for j, pair := range s.Values {
				seconds, err := strconv.ParseFloat(string(pair[0]), 64)
				testutil.Ok(t, err)
				testutil.Assert(t, math.Abs(float64(got[i][j].t)-seconds*1000) <= 1+math.Abs(seconds)*1e-9, "%s is %d", pair[0], got[i][j].t)
			}
		}
	})
}

func TestTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "1": 1000, "1435781430.781": 1435781430781, "1435781430.78": 1435781430780, "1.5": 1500, "12.": 12000, "0.001": 1,
		"-1.5": -1500, "1e3": 1000000, "1435781430.7814": 1435781430781, "1.4357814307815e9": 1435781430782,
	} {
		p := scanner{[]byte(text)}
		got, err := p.time()
		testutil.Ok(t, err, text)
		testutil.Equals(t, want, got, text)
	}
}
