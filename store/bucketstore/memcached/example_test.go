package memcached_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/thanoskit/thanoskit/store/bucketstore/memcached"
)

func ExampleNew() {
	var t testing.B
	s := newServer(&t) // As "cache-0:11211" would be.
	defer s.stop()

	cache, err := memcached.New(&memcached.Options{
		Servers: []string{s.addr},
		Timeout: time.Minute, // by default it does not wait as long as a bucket might take
	})
	if err != nil {
		panic(err)
	}
	s.put("key", []byte("value"))
	values := make([][]byte, 2)
	cache.Get(context.Background(), []string{"key", "another"}, values)
	fmt.Printf("%q %v\n", values[0], values[1] == nil)
	fmt.Println(cache.Close())
	// Output:
	// "value" true
	// <nil>
}
