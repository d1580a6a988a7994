// Kubebox is all programs of a small Kubernetes node in one static binary; the name it is called by chooses.
//
// One binary links the shared nine tenths of Kubernetes once: it builds in a fraction of the time, and one image layer
// serves every control plane pod. It is only built where the standard node image cannot be pulled.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// programs maps a name to what runs under it and the exit code it ends with.
var programs = map[string]func(args []string) int{
	"coredns":                 coredns,
	"helm":                    func(args []string) int { return helm(args[1:]) },
	"etcd":                    func(args []string) int { etcdmain.Main(args); return 0 },
	"kubeadm":                 func([]string) int { return report(kubeadm.Run()) },
	"kindnet":                 func([]string) int { return report(kindnet(context.Background())) },
	"crictl":                  func(args []string) int { return report(crictl(context.Background(), args[1:])) },
	"kube-apiserver":          cobraProgram(apiserver.NewAPIServerCommand),
	"kube-controller-manager": cobraProgram(manager.NewControllerManagerCommand),
	"kube-proxy":              cobraProgram(proxy.NewProxyCommand),
	"kube-scheduler":          cobraProgram(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kubectl":                 cobraProgram(kubectl.NewDefaultKubectlCommand),
	"kubelet":                 cobraProgram(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
}

func main() {
	name := filepath.Base(os.Args[0])
	run, known := programs[name]
	if !known {
		fmt.Fprintf(os.Stderr, "kubebox: no program is called %q; link me under the name of one\n", name)
		os.Exit(2)
	}
	os.Exit(run(os.Args))
}

func cobraProgram(command func() *cobra.Command) func([]string) int {
	return func([]string) int { return cli.Run(command()) }
}

func report(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
