package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: quickstart HOST:PORT...")
	}
	ctx := context.Background()
	var members []fanout.Member
	for _, addr := range os.Args[1:] { // sidecars, store gateways, queriers: ours or Thanos'
		c, err := grpcstore.Dial(addr, nil) // closed by the end of the program
		if err != nil {
			log.Fatal(err)
		}
		members = append(members, fanout.Member{Name: addr, Store: c})
	}
	all, err := fanout.New(fanout.Static(members...), nil)
	if err != nil {
		log.Fatal(err)
	}
	q, err := query.New(all, &query.Options{ReplicaLabels: []string{"replica"}})
	if err != nil {
		log.Fatal(err)
	}
	res, err := q.Instant(ctx, `sum by (cluster) (rate(prometheus_http_requests_total[5m]))`, time.Now(), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Value)
	for _, w := range res.Warnings {
		fmt.Println("warning:", w)
	}
	for _, m := range res.Outcome.Members() {
		fmt.Println(m.Member, m.Status, m.Series, "series", m.Err)
	}
}
