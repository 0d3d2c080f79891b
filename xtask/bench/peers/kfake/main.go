// kfake as a process: prints its bootstrap addresses and how many seconds it took to start, serves until stdin closes.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	began := time.Now()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.Ports(0, 0, 0), kfake.DefaultNumPartitions(6))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer cluster.Close()
	fmt.Println(strings.Join(cluster.ListenAddrs(), ","), time.Since(began).Seconds())
	io.Copy(io.Discard, os.Stdin)
}
