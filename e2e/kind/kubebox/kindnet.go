package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/vishvananda/netlink"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	cniConfig = "/etc/cni/net.d/10-kindnet.conflist"
	// A new node's pods are reachable after at most this long.
	period = 3 * time.Second
)

// kindnet is a pod network in small, for nodes that share a Docker network: the CNI configuration of this node, a route
// to the pods of every other node, and address translation for what leaves the pod network. IPv4; no network policies.
func kindnet(ctx context.Context) error {
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	// kind sets this, so that the network does not have to wait for kube-proxy, nor kube-proxy for the network.
	if endpoint := os.Getenv("CONTROL_PLANE_ENDPOINT"); endpoint != "" {
		config.Host = "https://" + endpoint
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	network := podNetwork{self: os.Getenv("HOST_IP"), subnet: os.Getenv("POD_SUBNET")}
	for ; ; time.Sleep(period) {
		nodes, err := client.CoreV1().Nodes().List(ctx, meta.ListOptions{})
		if err == nil {
			err = network.apply(nodes.Items)
		}
		if err != nil {
			log.Printf("kindnet: trying again in %s: %v", period, err)
		}
	}
}

type podNetwork struct {
	self   string // this node's address
	subnet string // of all pods
}

func (n podNetwork) apply(nodes []core.Node) error {
	if err := n.translate(); err != nil {
		return err
	}
	for _, node := range nodes {
		if node.Spec.PodCIDR == "" {
			continue // not assigned yet; the next round sees it
		}
		address := internalAddress(node)
		step := func() error { return route(node.Spec.PodCIDR, address) }
		if address == n.self {
			step = func() error { return writeConfig(node.Spec.PodCIDR) }
		}
		if err := step(); err != nil {
			return fmt.Errorf("node %s: %w", node.Name, err)
		}
	}
	return nil
}

// translate gives packets to the outside the node's address. Between pods nothing is changed.
func (n podNetwork) translate() error {
	rule := []string{"-s", n.subnet, "!", "-d", n.subnet, "-m", "addrtype", "!", "--dst-type", "LOCAL", "-j", "MASQUERADE"}
	iptables := func(action string) ([]byte, error) {
		return exec.Command("iptables", append([]string{"-w", "-t", "nat", action, "POSTROUTING"}, rule...)...).CombinedOutput()
	}
	if _, err := iptables("-C"); err == nil {
		return nil
	}
	if output, err := iptables("-A"); err != nil {
		return fmt.Errorf("iptables: %w: %s", err, output)
	}
	return nil
}

func route(pods, by string) error {
	_, destination, err := net.ParseCIDR(pods)
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{Dst: destination, Gw: net.ParseIP(by)})
}

func writeConfig(pods string) error {
	type object = map[string]any
	want, err := json.Marshal(object{
		"cniVersion": "0.3.1",
		"name":       "kindnet",
		"plugins": []object{
			{
				"type": "ptp",
				"ipam": object{
					"type":    "host-local",
					"dataDir": "/run/cni-ipam-state",
					"routes":  []object{{"dst": "0.0.0.0/0"}},
					"ranges":  [][]object{{{"subnet": pods}}},
				},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	})
	if err != nil {
		return err
	}
	if have, _ := os.ReadFile(cniConfig); bytes.Equal(have, want) {
		return nil
	}
	// Renamed into place: containerd watches the folder and must not read half a file.
	if err := os.WriteFile(cniConfig+".new", want, 0o644); err != nil {
		return err
	}
	return os.Rename(cniConfig+".new", cniConfig)
}

func internalAddress(node core.Node) string {
	for _, address := range node.Status.Addresses {
		if address.Type == core.NodeInternalIP {
			return address.Address
		}
	}
	return ""
}
