// dot_sparq, which in the second cycle of a pair takes the second activation's halves, and the shift codes swapped.
module dot_exact #(parameter BITS = 4, STRIDE = 1, CODE = 3) (
    input [2*(BITS+CODE)+1+2*BITS:0] pair,
    input [15:0] w,
    input second,
    output two,
    output signed [`VALUE-1:0] value
);
    wire [2*BITS-1:0] later, sooner;
    wire [CODE-1:0] code1, code2;
    wire mux;
    assign {two, later, mux, code2, code1, sooner} = pair;
    dot_sparq #(BITS, STRIDE, CODE) dot(second ? {mux, code1, code2, later} : {mux, code2, code1, sooner}, w, value);
endmodule
