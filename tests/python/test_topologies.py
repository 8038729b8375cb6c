"""Process topologies: grids, graphs, distributed graphs, and what is told about them."""

from __future__ import annotations

import itertools
import math

import numpy as np
from mpi4py import MPI
from support.case import Case, not_on, ours_only, ranks_at_least


class Dims(Case):
    def test_balanced(self) -> None:
        for nodes, ndims, expected in (
            (12, 2, [4, 3]),
            (7, 2, [7, 1]),
            (64, 3, [4, 4, 4]),
            (60, 3, [5, 4, 3]),
            (1, 4, [1] * 4),
        ):
            self.assertEqual(MPI.Compute_dims(nodes, ndims), expected)

    def test_given_sizes_are_kept(self) -> None:
        self.assertEqual(MPI.Compute_dims(6, [0, 3, 0]), [2, 3, 1])
        self.assertEqual(MPI.Compute_dims(24, [0, 2, 0, 3]), [2, 2, 2, 3])
        self.assertEqual(MPI.Compute_dims(6, [2, 3]), [2, 3])

    def test_what_cannot_be(self) -> None:
        for nodes, dims in ((7, [0, 3, 0]), (6, [-1, 0]), (6, [12])):
            with self.mpi_error(MPI.ERR_DIMS):
                MPI.Compute_dims(nodes, dims)


class Cart(Case):
    def shapes(self) -> list[list[int]]:
        return [MPI.Compute_dims(self.size, n) for n in (1, 2, 3)]

    def test_ranks_and_coordinates(self) -> None:
        for dims in self.shapes():
            periods = [i % 2 == 0 for i in range(len(dims))]
            cart = self.comm.Create_cart(dims, periods)
            self.assertIsInstance(cart, MPI.Cartcomm)
            self.assertEqual((cart.topology, cart.dim, cart.dims, cart.periods), (MPI.CART, len(dims), dims, periods))
            for rank, coords in enumerate(itertools.product(*map(range, dims))):
                self.assertEqual(cart.Get_coords(rank), list(coords))
                self.assertEqual(cart.Get_cart_rank(coords), rank)
            self.assertEqual(cart.coords, cart.Get_coords(cart.rank))
            cart.Free()

    def test_shifts_carry_messages(self) -> None:
        for dims in self.shapes():
            for periodic, direction, by in itertools.product((True, False), range(len(dims)), (-2, -1, 0, 1, 3)):
                cart = self.comm.Create_cart(dims, [periodic] * len(dims))
                source, dest = cart.Shift(direction, by)
                coords = cart.coords
                coords[direction] -= by
                inside = 0 <= coords[direction] < dims[direction]
                expected = cart.Get_cart_rank(coords) if inside or periodic else MPI.PROC_NULL
                self.assertEqual(source, expected)
                got = np.array([-1], "i")
                cart.Sendrecv(np.array([cart.rank], "i"), dest, recvbuf=got, source=source)
                self.assertEqual(got[0], -1 if source == MPI.PROC_NULL else source)
                cart.Free()

    @not_on("Intel", "MPI_Cart_sub without dimensions gives MPI_COMM_NULL on some ranks")
    def test_fewer_dimensions(self) -> None:
        dims = MPI.Compute_dims(self.size, 3)
        cart = self.comm.Create_cart(dims, [True, False, True])
        for remain in itertools.product((False, True), repeat=3):
            sub = cart.Sub(remain)
            self.assertIsInstance(sub, MPI.Cartcomm)
            kept = [i for i in range(3) if remain[i]]
            self.assertEqual(sub.dims, [dims[i] for i in kept])
            self.assertEqual(sub.periods, [cart.periods[i] for i in kept])
            self.assertEqual(sub.coords, [cart.coords[i] for i in kept])
            self.assertEqual(sub.size, math.prod(sub.dims))
            others = sub.allgather(cart.coords)
            for coords in others:
                same = [coords[i] == cart.coords[i] for i in range(3) if not remain[i]]
                self.assertTrue(all(same), others)
            sub.Free()
        cart.Free()

    def test_processes_beyond_the_grid_get_none(self) -> None:
        cart = self.comm.Create_cart([1, 1], reorder=True)
        self.assertEqual(cart == MPI.COMM_NULL, self.rank != 0)
        self.assertEqual(self.comm.Cart_map([1, 1]), MPI.UNDEFINED if self.rank else 0)
        if cart:
            cart.Free()

    def test_no_dimensions(self) -> None:
        cart = self.comm.Create_cart([])
        self.assertEqual(cart == MPI.COMM_NULL, self.rank != 0)
        if cart:
            self.assertEqual((cart.dim, cart.dims, cart.coords, cart.Get_cart_rank([])), (0, [], [], 0))
            with self.mpi_error(MPI.ERR_ARG, MPI.ERR_DIMS, MPI.ERR_TOPOLOGY):
                cart.Shift(0, 1)
            cart.Free()

    def test_duplicates_keep_it_and_splits_do_not(self) -> None:
        cart = self.comm.Create_cart([self.size], [True])
        copy = cart.Dup()
        self.assertIsInstance(copy, MPI.Cartcomm)
        self.assertEqual((copy.dims, copy.periods), ([self.size], [True]))
        copy.Free()
        copy, request = cart.Idup()
        request.Wait()
        self.assertEqual(copy.Get_topology(), MPI.CART)
        copy.Free()
        part = cart.Split(0)
        self.assertEqual(part.Get_topology(), MPI.UNDEFINED)
        part.Free()
        cart.Free()

    @not_on("MPICH", "other classes of errors")
    @not_on("Intel", "other classes of errors")
    def test_errors(self) -> None:
        with self.mpi_error(MPI.ERR_DIMS):
            self.comm.Create_cart([self.size, 2])
        with self.mpi_error(MPI.ERR_DIMS):
            self.comm.Create_cart([0])
        cart = self.comm.Create_cart([self.size])
        with self.mpi_error(MPI.ERR_ARG):
            cart.Get_cart_rank([self.size])
        with self.mpi_error(MPI.ERR_ARG):
            cart.Shift(1, 1)
        with self.mpi_error(MPI.ERR_RANK):
            cart.Get_coords(-1)
        cart.Free()


class Graph(Case):
    def test_a_ring(self) -> None:
        index = [2 * (i + 1) for i in range(self.size)]
        edges = [(i + d) % self.size for i in range(self.size) for d in (-1, 1)]
        graph = self.comm.Create_graph(index, edges)
        self.assertIsInstance(graph, MPI.Graphcomm)
        self.assertEqual((graph.dims, graph.topo), ((self.size, len(edges)), (index, edges)))
        self.assertEqual(graph.neighbors, [self.left, self.right])
        self.assertEqual([graph.Get_neighbors_count(i) for i in range(self.size)], [2] * self.size)
        copy = graph.Dup()
        self.assertEqual(copy.Get_neighbors(0), [(self.size - 1), 1 % self.size])
        copy.Free()
        graph.Free()

    def test_fewer_nodes_than_processes_and_none(self) -> None:
        graph = self.comm.Create_graph([1], [0])
        self.assertEqual(graph == MPI.COMM_NULL, self.rank != 0)
        if graph:
            self.assertEqual((graph.nnodes, graph.nedges, graph.neighbors), (1, 1, [0]))
            graph.Free()
        self.assertEqual(self.comm.Create_graph([], []), MPI.COMM_NULL)


class Distributed(Case):
    def test_adjacent(self) -> None:
        sources, destinations = [self.left, self.rank], [self.right, self.rank]
        for weights in (None, ([self.left, 7], [self.rank, 7])):
            graph = self.comm.Create_dist_graph_adjacent(sources, destinations, *(weights or ()))
            copy = graph.Dup()
            graph.Free()
            self.assertIsInstance(copy, MPI.Distgraphcomm)
            self.assertEqual(copy.Get_dist_neighbors(), (sources, destinations, weights))
            copy.Free()

    def test_edges_given_by_anybody(self) -> None:
        # Each rank gives an edge from every process to the one that many behind it.
        sources = list(range(self.size))
        destinations = [(i + self.rank) % self.size for i in sources]
        weights = [100 * i + self.rank for i in sources]
        graph = self.comm.Create_dist_graph(sources, [1] * self.size, destinations, weights)
        incoming, outgoing, told = graph.Get_dist_neighbors()
        edges = {(i, (i + by) % self.size, 100 * i + by) for i in sources for by in sources}
        self.assertEqual(
            {(i, self.rank, w) for i, w in zip(incoming, told[0], strict=True)}, {e for e in edges if e[1] == self.rank}
        )
        self.assertEqual(
            {(self.rank, i, w) for i, w in zip(outgoing, told[1], strict=True)}, {e for e in edges if e[0] == self.rank}
        )
        graph.Free()

    def test_many_edges(self) -> None:
        count = 20_000
        graph = self.comm.Create_dist_graph([self.rank], [count], [(self.rank + i) % self.size for i in range(count)])
        incoming, outgoing, _ = graph.Get_dist_neighbors()
        self.assertEqual(outgoing, [(self.rank + i) % self.size for i in range(count)])
        self.assertEqual(
            len(incoming), sum((r + i) % self.size == self.rank for r in range(self.size) for i in range(count))
        )
        graph.Free()

    @ours_only("others do not look, and hang or crash")
    @ranks_at_least(2)
    def test_weights_from_some_only(self) -> None:
        weights = [1] if self.rank == 0 else None
        with self.mpi_error(MPI.ERR_ARG) as raised:
            self.comm.Create_dist_graph([self.rank], [1], [self.rank], weights)
        self.assertIn("rank 0 gives weights, rank 1 gives MPI_UNWEIGHTED", raised.text)
