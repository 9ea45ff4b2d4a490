// A pair of activations without loss: {two, second q2, second q1, pair}. A pair that its windows would trim takes two cycles, each
// activation lone for one of them; in the second cycle the PE swaps the shift codes.
module exact_unit #(parameter BITS = 4, STRIDE = 1, PLACES = 5, CODE = 3, LONE_PLACES = 1) (
    input [7:0] x1,
    input [7:0] x2,
    output [2*(BITS+CODE)+1+2*BITS:0] pair
);
    wire [2*(BITS+CODE):0] one_cycle, first_cycle;
    wire lone, lost;
    trim_unit #(BITS, STRIDE, PLACES, CODE, LONE_PLACES, 0, 1) both(x1, x2, one_cycle, lone, lost);
    localparam [CODE-1:0] HIGH = BITS / STRIDE, LOW = 0;
    assign first_cycle = {1'b1, LOW, HIGH, x1[BITS-1:0], x1[2*BITS-1:BITS]};
    wire two = ~lone & lost;
    assign pair = {two, x2[2*BITS-1:BITS], x2[BITS-1:0], two ? first_cycle : one_cycle};
endmodule
