package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/query/httpapi"
	"github.com/thanoskit/thanoskit/store/memstore"
)

func Example() {
	var s memstore.Store
	for _, replica := range []string{"a", "b"} {
		if err := s.Append(labels.FromStrings("__name__", "up", "job", "node", "replica", replica), 1_000, 1); err != nil {
			fmt.Println(err)
			return
		}
	}
	q, err := query.New(&s, &query.Options{ReplicaLabels: []string{"replica"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := httpapi.New(q, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := httptest.NewServer(h)
	defer srv.Close()

	for _, params := range []url.Values{
		{"query": {"up"}, "time": {"1"}},
		{"query": {"count(up)"}, "time": {"1"}, "dedup": {"false"}},
		{"query": {"up{"}},
	} {
		res, err := http.PostForm(srv.URL+"/api/v1/query", params)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(res.StatusCode, string(body))
	}
	// Output:
	// 200 {"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"node"},"value":[1,"1"]}]}}
	// 200 {"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}]}}
	// 400 {"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:4: parse error: unexpected end of input inside braces"}
}
