// Runs verify.go for the tests: a line with a scope and a token, a line with the verdict.
//
// Arguments: issuer, audience, cool-down in milliseconds.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"grantd.dev/interop/verify"
)

func main() {
	coolDown, err := time.ParseDuration(os.Args[3] + "ms")
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := verify.New(context.Background(), os.Args[1], os.Args[2], coolDown)
	if err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		scope, token, _ := strings.Cut(lines.Text(), " ")
		claims, err := verifier.Verify(token, scope)
		if err != nil {
			fmt.Println("refused", strings.Join(strings.Fields(err.Error()), " "))
		} else {
			fmt.Println("accepted", claims.ClientID)
		}
	}
}
